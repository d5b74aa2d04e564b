"""HTTP: middleware, routes, responses, problem details and limits of requests."""
