"""Keeps our libraries at home: no telemetry, nothing written outside the home, no more threads than cores.

Called before any of them is imported, by the command line and by whatever flow takes a workload's lock; what the user
has set already stays as it is.
"""

from __future__ import annotations

import getpass
import os
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from tasks.errors import BadRequest, OutOfSpace

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    # Its workers log beside its own loggers, and what any library warns of would stand among the progress.
    "PREFECT_LOGGING_ROOT_LEVEL": "CRITICAL",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "tasks",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Its own seven tries take five minutes where nobody listens; our tasks try again themselves.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "GX_ANALYTICS_ENABLED": "false",
    "TQDM_DISABLE": "1",
    # Every worker that comes or goes, said on the terminal.
    "DASK_LOGGING__DISTRIBUTED": "critical",
    # Row groups that Polars decodes before they are asked for; its own number holds hundreds of megabytes.
    "POLARS_ROW_GROUP_PREFETCH_SIZE": "1",
    # One burst of small transactions per run: fewer, larger batches keep SQLite from answering 503.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}

# Candidates run side by side, one thread each: threads × candidates beyond the cores cost three to four times the time.
SIDE_BY_SIDE = "PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS"
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

OF_THE_SYSTEM = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SYSTEMROOT", "CUDA_VISIBLE_DEVICES")

# What each cloud's own client looks at to find its credentials, endpoint and region.
OF_THE_CLOUDS = {
    "s3": ("AWS_", "BOTO_"),
    "gs": ("GOOGLE_", "CLOUDSDK_", "GCE_", "GCSFS_", "STORAGE_EMULATOR_HOST"),
    "az": ("AZURE_", "IDENTITY_", "MSI_"),
    "oci": ("OCI_", "KUBERNETES_SERVICE_HOST"),
}
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

FOLDERS = {
    "PREFECT_HOME": "prefect",
    "MPLCONFIGDIR": "tmp/matplotlib",
    "XDG_CACHE_HOME": "tmp/cache",
    "XDG_CONFIG_HOME": "tmp/config",
    "TMPDIR": "tmp",
}


def confine(root: Path, workers: int) -> None:
    """Point every library at *root*, silence it and give it *workers* places to train.

    Raises OutOfSpace where *root* cannot be written.
    """
    for variable, folder in FOLDERS.items():
        path = root / folder
        try:
            path.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=path).close()
        except OSError as error:
            raise OutOfSpace(
                f"the home {root} cannot be written: {error.strerror}. Free some space, or point GREENLIGHT_HOME at a "
                "folder you may write."
            ) from error
        _set(variable, str(path))
    os.environ["TMPDIR"] = tempfile.tempdir = str(root / FOLDERS["TMPDIR"])
    silence()
    _set(SIDE_BY_SIDE, str(workers))
    for variable in ONE_THREAD:
        os.environ.setdefault(variable, "1")


def user_name() -> str:
    """Return who is logged in; raises BadRequest in a container, say, whose user has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise BadRequest(
            "this process has no user name; say who you are with --as or --requested-by NAME, or set LOGNAME"
        ) from error


def has_display() -> bool:
    """Say whether a browser would be seen by whoever sits here."""
    return sys.platform in {"darwin", "win32"} or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


def for_child(settings: Mapping[str, str], hidden: Collection[str] = ()) -> dict[str, str]:
    """Return the environment of a child process that sees *settings* besides what this one sees but for *hidden*."""
    return {name: value for name, value in os.environ.items() if name not in hidden} | dict(settings)


def clean() -> dict[str, str]:
    """Return the environment of a child that is to stand on its own feet: ours, and what the system itself needs.

    Where the store is in a cloud it also sees what that cloud's client reads, and the way there.
    """
    cloud = OF_THE_CLOUDS.get(os.environ.get("GREENLIGHT_STORE", "").partition("://")[0], ())
    names = {*QUIET, *FOLDERS, *ONE_THREAD, *OF_THE_SYSTEM, *((*PROXIES, *AUTHORITIES) if cloud else ())}
    return {
        name: value
        for name, value in os.environ.items()
        if name.upper() in names or name.startswith(("GREENLIGHT_", *cloud))
    }


def log_into_mlflow(user: str, password: str) -> None:
    """Let MLflow's client name itself to its server so: what stands in an address stands in its errors and logs too."""
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = user, password


def silence() -> None:
    """Switch off what our libraries would tell others, and most of what they would print."""
    for variable, value in QUIET.items():
        _set(variable, value)


def _set(variable: str, value: str) -> None:
    # Prefect reads its settings when it is imported: it is too late to tell it then, and a worker's are its operator's.
    if not (variable.startswith("PREFECT_") and "prefect" in sys.modules):
        os.environ.setdefault(variable, value)
