"""Everything that can go wrong, as one tree: a newcomer finds here what may be raised, and which branch is retried.

Messages are letters to a tired colleague: what happened, to which workload, the number found and the number wanted,
what to do next. Adapters translate their library's errors into these; core raises them; faces let them through.

GreenlightError
├─ BadRequest            the caller asked for something that cannot be done: fix the command           exit 2
│  ├─ UnknownWorkload
│  ├─ SourceUnusable     missing, empty, unreadable or not the table it should be
│  │  └─ ColumnsMissing  columns that it must have are not in it
│  ├─ NoBucket           a store's address names a bucket that is not there
│  ├─ AccessDenied       a store refuses the credentials it was shown
│  ├─ NoTimetable        some slots can be filled by nothing that is allowed
│  └─ Misdeclared        a workload, policy or suite that contradicts itself
├─ DataRejected          the contract's table-level verdict, a leak, a constant target                exit 3
├─ NoCandidatePassed     nothing was left to register                                                  exit 3
├─ UpdateRefused         an update of the champion helps too little, harms, or cannot be judged           exit 3
├─ TrainingBroke         a fit left the ground: a loss, gradient or output that is no use                exit 3
├─ NotTrusted            a digest or signature does not match                                          exit 4
├─ HomeDamaged           a file of ours is truncated or gone                                           exit 4
├─ LedgerBroken          an entry was changed, removed or cut off: what an audit is for                 exit 1
├─ Conflict              somebody else was first
│  ├─ AlreadyExists      a create-if-absent met an existing key
│  ├─ LedgerMoved        another promotion was appended meanwhile                                      exit 5
│  └─ RunInProgress      another run of the workload holds its lock                                    exit 5
├─ OutOfSpace            disk full, read-only or no permission                                         exit 6
├─ OutOfMemory           a worker was killed over the same task again and again                        exit 6
└─ Unreachable           a store or service did not answer; the only branch that is retried            exit 7
"""


class GreenlightError(Exception):
    """Base of every error of ours; ``exit_code`` is what the command line ends with."""

    exit_code = 1


class BadRequest(GreenlightError):
    """The caller asked for something that cannot be done."""

    exit_code = 2


class UnknownWorkload(BadRequest):
    """No workload of that name is declared."""


class SourceUnusable(BadRequest):
    """The source is missing, empty, unreadable, or not the table it should be."""


class ColumnsMissing(SourceUnusable):
    """The source lacks columns; ``missing`` names them, ``headers`` says which there are, ``where`` in what file."""

    def __init__(self, message: str, missing: tuple[str, ...] = (), headers: tuple[str, ...] = (), where: str = ""):
        super().__init__(message)
        self.missing, self.headers, self.where = missing, headers, where


class NoBucket(BadRequest):
    """The bucket or container of a store's address is not there."""


class AccessDenied(BadRequest):
    """A store refused: no credentials, wrong ones, or ones that may not do this."""


class NoTimetable(BadRequest):
    """Not every slot can be filled by what is allowed; the message names the slots, the reasons and what to relax."""


class BudgetReached(BadRequest):
    """The next request might cost more than is left of the budget, so it was not sent."""


class Misdeclared(BadRequest):
    """A declaration contradicts itself; raised at import."""


class DataRejected(GreenlightError):
    """The data cannot be trained on: contract, leakage, constant target, too few rows."""

    exit_code = 3


class NoCandidatePassed(GreenlightError):
    """No candidate of any target was left to register."""

    exit_code = 3


class TrainingBroke(GreenlightError):
    """A candidate's fit came to a loss, a gradient or answers that are no use; it is a failed scorecard."""

    exit_code = 3


class UpdateRefused(GreenlightError):
    """An update of the champion was rolled back or could not be judged: a failed scorecard, and the champion stays."""

    exit_code = 3


class NotTrusted(GreenlightError):
    """A digest or a signature does not match what was promised."""

    exit_code = 4


class HomeDamaged(GreenlightError):
    """A file of ours is truncated, altered or gone."""

    exit_code = 4


class LedgerBroken(GreenlightError):
    """An audit of the ledger found the first entry that is not what it was: changed, removed or cut off."""


class Conflict(GreenlightError):
    """Somebody else was first."""

    exit_code = 5


class AlreadyExists(Conflict):
    """A create-if-absent met an existing key."""


class LedgerMoved(Conflict):
    """Another entry was appended meanwhile; nothing was promoted."""


class RunInProgress(Conflict):
    """Another run of the same workload holds its lock."""


class OutOfSpace(GreenlightError):
    """The disk is full, read-only, or may not be written."""

    exit_code = 6


class OutOfMemory(GreenlightError):
    """A task killed its worker as often as it may; its memory most likely did not suffice."""

    exit_code = 6


class Unreachable(GreenlightError):
    """A store or service did not answer; the only error that is retried."""

    exit_code = 7
