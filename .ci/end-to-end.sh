#!/bin/sh
# The end-to-end tests, on the lab. Where this computer cannot host it they are skipped, loudly; in CI
# (CI=true) that is a failure.
set -eu
lacking=$(.venv/bin/python -c '
from lab import requirements
print("\n".join(f"  - {lack}" for lack in requirements.missing()))')
if [ -z "$lacking" ]; then
    .venv/bin/inv lab.up
    exec .venv/bin/pytest tests/e2e --durations=10 --durations-min=5
fi
cat <<END

SKIPPED: every end-to-end test. This computer cannot host the lab. It lacks:
$lacking
What was checked is what needs no machine: style, types, unit tests.
END
[ "${CI:-}" != true ]
