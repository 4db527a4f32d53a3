"""The best timetable: from predicted values of programmes in slots to a schedule, and how far from best it can be.

Pure, and knows no model: predictions come in as two tables. Reading files, and what a flow does with a schedule, do not
belong here.
"""
