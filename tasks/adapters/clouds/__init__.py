"""Object stores of four clouds behind the five verbs of ``tasks.adapters.store``: a backend each, one store."""
