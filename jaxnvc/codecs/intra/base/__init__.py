"""The full intra codec of AVS-EEM v9.2: strided convolutions and a hyperprior."""
