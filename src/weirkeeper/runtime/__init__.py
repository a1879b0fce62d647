"""The only loop: intake, dispatch, supervision, and what operators see of them."""
