# What can be done here, each with one command on a machine that has make, python3 (3.11 to 3.13)
# and its venv. `make demo` and `make serve` install what the product needs, the rest what its
# developers need too; both exactly as locked, into .venv, again only when a lock changes.
#
# Settings pass through the environment (LIANDAI_DATABASE_URL, LIANDAI_PORT, ...). PYTHON=... picks
# the Python of a new .venv.

.DEFAULT_GOAL := help
.PHONY: demo serve test bench campaign lint lock clean help runtime dev

demo: runtime ## run the two deals of the story through the HTTP API; the last line is JSON
	@exec .venv/bin/liandai demo

serve: runtime ## keep a server with that story running; prints its address, users and tokens
	@exec .venv/bin/liandai serve --demo

test: dev ## run all tests, the checks of style, types and imports among them
	@exec .venv/bin/python -m tests

bench: dev ## measure; every figure beside the one it is a ratio of
	@exec .venv/bin/python -m tests.bench

campaign: dev ## try to break it for hours: questions, forgeries, races, kill -9; prints figures
	@CAMPAIGN=$${CAMPAIGN:-full} exec .venv/bin/python -m pytest -q -s --timeout=0 \
		tests/campaign tests/ledger/test_pendings.py tests/ledger/test_party_books.py \
		tests/api/test_house_pendings.py tests/stories/test_kill_nine.py

lint: dev ## style, types and import directions alone
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

lock: ## write requirements/*.txt anew from pyproject.toml (needs uv; UPGRADE=--upgrade for newest)
	@command -v uv >/dev/null || { echo "make lock needs uv (https://docs.astral.sh/uv)" >&2; exit 2; }
	$(RELOCK) --output-file requirements/runtime.txt
	$(RELOCK) --extra dev --output-file requirements/dev.txt --constraints requirements/runtime.txt

clean: ## remove .venv and every cache; the ledger's data in .liandai stays
	rm -rf .venv .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1|\2/p' Makefile | \
		while IFS='|' read -r what does; do printf '  %-14s %s\n' "$$what" "$$does"; done

runtime dev:
	@LOCK=$@ $(ONE_AT_A_TIME) sh -euc "$$SET_UP"

# One lock for every platform and Python, with hashes and without the address of any index.
RELOCK = uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --quiet $(UPGRADE)

# Two makes beside one another must not both write .venv. flock comes with Debian's base.
ONE_AT_A_TIME := $(shell command -v flock >/dev/null 2>&1 && echo flock requirements)

# Afterwards .venv holds what requirements/$LOCK.txt lists, and this product, editable.
# .venv/.ready records from what, and where, .venv was last completed. It is taken away before
# anything is changed: without it .venv is half-made, or somebody else's, and is made anew.
define SET_UP
ready=.venv/.ready
whole=
if [ "$$(cat $$ready/place 2>/dev/null)" = "$$PWD" ] && .venv/bin/python -c '' 2>/dev/null; then
	whole=yes
fi
if [ $$whole ] && cmp -s requirements/$$LOCK.txt $$ready/$$LOCK.txt &&
	cmp -s pyproject.toml $$ready/pyproject.toml; then exit 0; fi

wrong="there is none"
for python in $${PYTHON:-} python3 python3.13 python3.12 python3.11; do
	version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
		continue
	case $$version in
	3.11 | 3.12 | 3.13) ;;
	*) wrong="$$python is $$version"; continue ;;
	esac
	if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then wrong=; break; fi
	wrong="$$python has no venv; on Debian: apt-get install python$$version-venv"
done
if [ "$$wrong" ]; then
	echo "Needed here: Python 3.11, 3.12 or 3.13 with venv ($$wrong)." >&2
	exit 2
fi

echo "Setting up .venv from requirements/$$LOCK.txt; this takes about a minute." >&2
if [ $$whole ]; then
	rm -rf $$ready
else
	rm -rf .venv
	"$$python" -m venv .venv
fi
pip=".venv/bin/python -m pip --disable-pip-version-check --no-input -qq"
$$pip install --require-hashes -r requirements/$$LOCK.txt
$$pip install --no-deps --no-build-isolation -e .
mkdir $$ready.new
cp pyproject.toml requirements/$$LOCK.txt $$ready.new
if [ $$LOCK = dev ]; then cp requirements/runtime.txt $$ready.new; fi # it is a part of dev
echo "$$PWD" >$$ready.new/place
mv $$ready.new $$ready
endef
export SET_UP
