"""The Hessian of a cost as one linear map, its spectrum with error bars, and what kind of point this is."""
