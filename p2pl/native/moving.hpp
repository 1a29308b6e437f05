// Weights on their way between the caller's layout, (out, in), and scratch memory, (in, stride): as what one device has
// learned leaves, what the next one begins with takes its place. So each line of scratch is touched once, while it is
// in the nearest cache, and far memory is read and written at the same time.
#pragma once
#ifdef __AVX2__
#include <immintrin.h>
#endif
#include "turning.hpp"

namespace {

// Stores past the caches, and what must follow them before others may read.
#if defined(__AVX512F__)
INLINE void stream(float* to, Vector value) { _mm512_stream_ps(to, reinterpret_cast<__m512>(value)); }
#elif defined(__AVX2__)
INLINE void stream(float* to, Vector value) { _mm256_stream_ps(to, reinterpret_cast<__m256>(value)); }
#else
INLINE void stream(float* to, Vector value) { store(to, value); }
#endif
INLINE void end_streams() {
#ifdef __AVX2__
    _mm_sfence();
#endif
}

// Copies `count` numbers; from and to begin at the same place in a line.
INLINE void stream_all(const float* from, float* to, int64_t count) {
    const int64_t head = (LINE - reinterpret_cast<uintptr_t>(to) / 4 % LINE) % LINE;
    int64_t i = head < count ? head : count;
    memcpy(to, from, 4 * i);
    for (; i + LINE <= count; i += LINE)
        UNROLL for (int64_t j = 0; j < LINE; j += LANES) stream(to + i + j, load(from + i + j));
    memcpy(to + i, from + i, 4 * (count - i));
}

// What comes, or null, and where what was there goes, or null; each is multiplied with a number. `past`: by stores past
// the caches, which do not read first what they overwrite.
struct Passage {
    const float* from;
    float* to;
    float arriving, leaving;
    bool past;

    Passage after(int64_t count) const {
        return {from ? from + count : nullptr, to ? to + count : nullptr, arriving, leaving, past};
    }
};

// LANES of the caller's rows at a time. What leaves goes by way of `near` (LANES, in, and a line); what comes is asked
// for before: far memory is fast where it is passed through in one go, not by tiles.
void move_weights(Passage way, float* scratch, float* near, int64_t out, int64_t in, int64_t stride) {
    if (way.from)
        for (int64_t i = 0; i < at_most_lanes(out) * in; i += LINE) __builtin_prefetch(way.from + i, 0, 2);
    for (int64_t o = 0; o < out; o += LANES, way = way.after(LANES * in)) {
        const int64_t rows = at_most_lanes(out - o);
        float* here = near + reinterpret_cast<uintptr_t>(way.to) / 4 % LINE;  // where lines begin as they do there
        for (int64_t k = 0; k < in; k += LANES) {
            float* place = scratch + k * stride + o;
            const int64_t columns = at_most_lanes(in - k);
            if (way.to) transpose_tile(place, stride, here + k, in, columns, rows, false, way.leaving);
            if (!way.from) continue;
            const float* coming = way.from + LANES * (in + k);
            UNROLL for (int64_t i = 0; i < LANES * LANES; i += LINE) __builtin_prefetch(coming + i, 0, 2);
            transpose_tile(way.from + k, in, place, stride, rows, columns, true, way.arriving);
        }
        if (way.to && way.past) stream_all(here, way.to, rows * in);
        else if (way.to) memcpy(way.to, here, 4 * rows * in);
    }
}

// Biases, which lie alike here and there. What pads them may be left from a device whose numbers were none.
void move_bias(const Passage& way, float* bias, int64_t out, int64_t stride) {
    for (int64_t o = 0; way.to && o < out; ++o) way.to[o] = way.leaving * bias[o];
    if (!way.from) return;
    memset(bias + out, 0, 4 * (stride - out));
    for (int64_t o = 0; o < out; ++o) bias[o] = way.arriving * way.from[o];
}

}  // namespace
