"""Pure computations: no Prefect, no disk, no clock, no environment, no random state that was not passed in."""
