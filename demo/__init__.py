"""A Label Studio with a generated project, our service connected, trained and asked: `make demo`."""
