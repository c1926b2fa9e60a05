"""The demonstration: two joint loans from consent to a verified audit bundle, over HTTP."""
