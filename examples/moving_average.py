"""Moving-average models MA(1) and MA(2): their conditional sums of squares, the costs of classical time series.

e_t = y_t - theta_1 e_(t-1) - theta_2 e_(t-2) with e = 0 before the start; J = sum of e_t^2, a polynomial in theta.

jensen says: not convex for this series (REFUTED), for MA(1) (``cost``) and for MA(2) (``second_order``).
"""

import torch

import jensen

series = torch.tensor([1.2, 0.3, -1.1, -0.4, 0.9, 0.2, -1.3, 0.1], dtype=torch.float64)


def sum_of_squares(*thetas: torch.Tensor) -> torch.Tensor:
    """The conditional sum of squares of the series."""
    errors: list[torch.Tensor] = []
    for y in series:
        error = y
        for theta, earlier in zip(thetas, errors[::-1], strict=False):
            error = error - theta * earlier
        errors.append(error)
    return torch.stack(errors).square().sum()


cost = jensen.Cost.of(lambda theta: sum_of_squares(theta), theta=0.3)
second_order = jensen.Cost.of(lambda theta1, theta2: sum_of_squares(theta1, theta2), theta1=0.3, theta2=0.1)
