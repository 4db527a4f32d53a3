"""A store whose versions were let out one after the other: what rolling back and looking back are tested on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks.adapters import bundles, ledger, projections
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.rollback import Aliases, RolledBack, roll_back
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.core.manifest import About
from tasks.core.rollback import Asked
from tasks.core.values import Challenger, Entry

WHY = "it predicts negative sales"
FIRST = datetime(2026, 11, 21, tzinfo=UTC)


class Released:
    """A home's store and keys; bundles in it hold one small file each."""

    def __init__(self, home: Path, workload: str = "shops", aliases: Aliases | None = None) -> None:
        self.home = home
        self.workload = workload
        self.store = DirectoryStore(home / "store")
        self.keys = home / "keys"
        self.signer = service_signer(self.keys)
        self.trust = trusted_keys(self.keys)
        self.aliases = aliases

    def publish(self, name: str) -> Challenger:
        """Publish a bundle."""
        files = {"model.txt": name.encode()}
        return bundles.publish(self.store, self.signer, self.workload, files, About(("sales",)))

    def promote(self, name: str, ring: str = "prod") -> str:
        """Let a new bundle out and show it to readers; return its version."""
        return self.enter(self.publish(name), name, ring)

    def enter(self, challenger: Challenger, name: str, ring: str = "prod") -> str:
        """Let a published bundle out, by the run of that *name*, and show it to readers; return its version."""
        number = ledger.length(self.store, self.workload)
        entry = Entry(
            workload=self.workload,
            number=0,
            kind="promotion",
            ring=ring,
            version=challenger.version,
            manifest_digest=challenger.manifest_digest,
            serves=("sales",),
            evidence=f"dossier of {name}",
            policy="p",
            decided_by="alice",
            reason="every gate passed",
            at=(FIRST + timedelta(hours=number)).isoformat(),
            previous="",
            run_key=f"run of {name}",
        )
        champion = ledger.champion(self.store, self.workload, ring)
        ledger.append(self.store, self.signer, entry, ledger.number_of(champion))
        if self.aliases is not None:
            self.aliases.register(challenger, "", self.store, {})
        projections.reconcile(self.store, self.trust, self.aliases, self.workload, ring)
        return challenger.version

    def back(
        self, reason: str = WHY, to: str = "previous", ring: str = "prod", aliases: Aliases | None = None
    ) -> RolledBack:
        """Roll back."""
        asked = Asked(self.workload, ring, to, reason, "bob")
        return roll_back(self.store, self.signer, self.trust, aliases or self.aliases, asked)

    def seen(self, ring: str = "prod") -> str:
        """Return the version readers see."""
        found = projections.serving(self.store, self.trust, self.workload, ring)
        return found.version if found else ""

    def entries(self) -> tuple[Entry, ...]:
        """Return the ledger."""
        return ledger.read(self.store, self.workload, self.trust)
