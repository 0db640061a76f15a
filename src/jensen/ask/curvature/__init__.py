"""The cost's curvature at a point: the Hessian as a linear map, its spectrum, and what kind of point this is."""
