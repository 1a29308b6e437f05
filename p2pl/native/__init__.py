"""The native engine: on-device learning of multi-layer perceptrons in C++, several times as fast as torch on a CPU.

build.py      `p2pl build` compiles the sources beside it into one shared library
library.py    loads the library; the structure that a call is given
learner.py    the engine's `Learner`: schedules from NumPy, one call for all devices
job.hpp, api.cpp                       the interface in C
kernels.hpp, network.hpp, learn.cpp    the arithmetic, a network's passes, a device's phase
"""
