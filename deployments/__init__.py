"""What prefect.yaml cannot say, and the command line that drives the flows from a terminal."""
