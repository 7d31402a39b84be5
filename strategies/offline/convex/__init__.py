"""Convex models on weighted coresets: logistic and ridge regression with SGD, SVRG and SAGA."""

from strategies.offline.convex._problem import Problem
from strategies.offline.convex._solver import DivergedError, Minimisation, Solver
from strategies.offline.convex.approximation import GradientError, feature_bound, gradient_error
from strategies.offline.convex.leverage import leverage_sample
from strategies.offline.convex.logistic import LogisticRegression
from strategies.offline.convex.optimum import Optimum, optimum
from strategies.offline.convex.ridge import RidgeRegression
from strategies.offline.convex.saga import SAGA
from strategies.offline.convex.schedules import Constant, Exponential, KInverse, Schedule
from strategies.offline.convex.sgd import SGD
from strategies.offline.convex.svrg import SVRG

__all__ = [
    "SAGA",
    "SGD",
    "SVRG",
    "Constant",
    "DivergedError",
    "Exponential",
    "GradientError",
    "KInverse",
    "LogisticRegression",
    "Minimisation",
    "Optimum",
    "Problem",
    "RidgeRegression",
    "Schedule",
    "Solver",
    "feature_bound",
    "gradient_error",
    "leverage_sample",
    "optimum",
]
