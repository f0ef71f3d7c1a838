"""`make demo`: the whole product on one machine, with servers, data, mail and traffic of its own, under `.data/`."""
