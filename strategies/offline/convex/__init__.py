"""Convex models on weighted coresets: logistic and ridge regression with SGD, SVRG and SAGA."""

from strategies.offline.convex._problem import Problem
from strategies.offline.convex._solver import DivergedError, Minimisation, Solver
from strategies.offline.convex.logistic import LogisticRegression
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
    "KInverse",
    "LogisticRegression",
    "Minimisation",
    "Problem",
    "RidgeRegression",
    "Schedule",
    "Solver",
]
