"""HTTP: the middleware, routes, answers, problems and limits of a request."""
