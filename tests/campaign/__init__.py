"""Fault campaigns: short ones among the tests, long ones by `make campaign`; each prints figures.

how often   CAMPAIGN unset: the few seconds that `make test` has
            CAMPAIGN=short: minutes; =full: as `make campaign` runs them
which ones  CAMPAIGN_SEED names the first seed; a failure names the seed to ask for
"""
