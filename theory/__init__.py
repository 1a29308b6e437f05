"""What the linearized network predicts of every device, from its initialization alone.

    f(x, theta) = f_0(x) + J(x) (theta - theta_0)       theta_k(t) = theta_0 + J^T c_k(t)       Theta = J J^T

kernel.py     Theta of any torch model, in float64
"""
