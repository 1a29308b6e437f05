// What the library offers to ctypes: which instruction sets there are; learning and mixing with one of them, and the
// peak of its arithmetic; orders of samples; selecting.
#include <string.h>

#include "job.hpp"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace portable {
int learn(const Job& job);
void mix(const Exchange& exchange);
double turn_over(int64_t times, float* x);
}
#ifdef P2PL_X86
namespace avx2 {
int learn(const Job& job);
void mix(const Exchange& exchange);
double turn_over(int64_t times, float* x);
}
namespace avx512 {
int learn(const Job& job);
double turn_over(int64_t times, float* x);
}
#endif

void draw(const Orders& orders);
void select(const Selection& selection);

// Whether this machine, and this library, can do with an instruction set: `avx512`, `avx2` or `portable`.
EXPORT int p2pl_supports(const char* set) {
#ifdef P2PL_X86
    __builtin_cpu_init();
    const bool avx2 =
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi");
    if (!strcmp(set, "avx2")) return avx2;
    if (!strcmp(set, "avx512")) return avx2 && __builtin_cpu_supports("avx512f");
#endif
    return !strcmp(set, "portable");
}

// Learn, with an instruction set that is supported. Returns 0, or 1 if there is not enough memory.
EXPORT int p2pl_learn(const char* set, const Job* job) {
#ifdef P2PL_X86
    if (!strcmp(set, "avx512")) return avx512::learn(*job);
    if (!strcmp(set, "avx2")) return avx2::learn(*job);
#endif
    return portable::learn(*job);
}

EXPORT void p2pl_mix(const char* set, const Exchange* exchange) {
#ifdef P2PL_X86
    if (strcmp(set, "portable")) return avx2::mix(*exchange);
#endif
    portable::mix(*exchange);
}

// Floating-point operations: how many there were. See peak.cpp.
EXPORT double p2pl_turn_over(const char* set, int64_t times, float* x) {
#ifdef P2PL_X86
    if (!strcmp(set, "avx512")) return avx512::turn_over(times, x);
    if (!strcmp(set, "avx2")) return avx2::turn_over(times, x);
#endif
    return portable::turn_over(times, x);
}

EXPORT void p2pl_draw(const Orders* orders) {
    draw(*orders);
}

EXPORT void p2pl_select(const Selection* selection) {
    select(*selection);
}
