"""Reading decisions: of one visitor, of an app; proving and verifying them."""
