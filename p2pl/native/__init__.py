"""The native engine: multi-layer perceptrons in C++, several times as fast as torch on a CPU: they learn, are evaluated
and mix by it.

build.py      `p2pl build` compiles the sources beside it into one shared library
library.py    loads the library; the structure that a call is given
learner.py    the engine's `Learner`: one call for all devices
mixing.py     its product with mixing weights
selecting.py  the largest values of a vector, which top-k compression sends
job.hpp, api.cpp                        the interface in C
orders.cpp, select.cpp                  orders of samples, as NumPy draws them; the largest values
vectors.hpp, folds.hpp                  vectors of the compiler's own types; two rows of weights in one
forward.hpp, update.hpp, sparse.hpp     the arithmetic: tiles in registers, and sparse inputs
turning.hpp, moving.hpp                 transposes, and weights on their way to scratch memory and back
functions.hpp                           exp, erf and tanh by vectors
network.hpp, first.hpp, learn.cpp       a network's passes, its first layer, a device's phase
pairs.hpp, common.hpp                   two batches in one sweep over the first layer; inputs mostly one number
answers.hpp                             outputs for shared samples
mix.cpp, far.hpp                        one exchange of models; of models that fit in no cache
"""
