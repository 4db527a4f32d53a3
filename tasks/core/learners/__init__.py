"""One module per learning library, so that each is imported only where its models are: fit, to bytes, from bytes.

Encoding, scales and choices do not belong here: a learner sees numbers and a standardised target.
"""
