// The arithmetic: products of small tiles that stay in registers. Weights lie as (inputs, outputs), rows padded to
// whole cache lines with zeros; what is multiplied with them comes in chunks of CHUNK inputs: (chunks, samples, CHUNK).
//
//   forward   Z[n][o] += sum_k X[n][k] W[k][o]      X broadcast, W by vectors of outputs
//   update    G[k][o]  = sum_n X[n][k] D[n][o]      X broadcast, D by vectors; the step while G is in registers
//
// Compiled once for each instruction set: all in an anonymous namespace, nothing inline from the standard library, so
// that the linker cannot put one set's code in the place of another's.
#pragma once
#include <stdint.h>

namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16, REGISTERS = 32;
#elif defined(__AVX2__)
constexpr int LANES = 8, REGISTERS = 16;
#else
constexpr int LANES = 4, REGISTERS = 16;
#endif
constexpr int64_t CHUNK = 64;  // a bit of a 64-bit word for each input of a chunk
constexpr int64_t LINE = 16;   // floats in a cache line

typedef float Vector __attribute__((vector_size(LANES * 4)));
typedef int32_t Integers __attribute__((vector_size(LANES * 4)));
typedef float Loose __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

INLINE Vector load(const float* from) { return *reinterpret_cast<const Loose*>(from); }
INLINE void store(float* to, Vector value) { *reinterpret_cast<Loose*>(to) = value; }

// The coefficients of one step. Written for all cases at once:
//   g += decay w;  v <- keep v + take g;  w <- w - (direct g + through v) + drift
// plain: heavy ball alone, v <- keep v + g, w <- w - through v.
struct Step {
    float decay, keep, take, direct, through;
    bool plain;
};

// One vector's step, of any kind but plain.
INLINE void descend(const Step& step, Vector g, float* w, float* v, const float* drift) {
    Vector weight = load(w), speed = load(v);
    g += step.decay * weight;
    speed = step.keep * speed + step.take * g;
    weight -= step.direct * g + step.through * speed;
    if (drift) weight += load(drift);
    store(v, speed);
    store(w, weight);
}

// ---------------------------------------------------------------------------------------------------------- forward

// z (ROWS of `stride`) += x (ROWS of CHUNK, `count` used) times as many rows of weights w, COLUMNS vectors wide.
template <int ROWS, int COLUMNS>
void forward_tile(const float* x, const float* w, int64_t count, float* z, int64_t stride) {
    Vector sum[ROWS][COLUMNS] = {};
    for (int64_t k = 0; k < count; ++k, w += stride) {
        Vector weight[COLUMNS];
        UNROLL for (int j = 0; j < COLUMNS; ++j) weight[j] = load(w + j * LANES);
        UNROLL for (int r = 0; r < ROWS; ++r) {
            const float value = x[r * CHUNK + k];
            UNROLL for (int j = 0; j < COLUMNS; ++j) sum[r][j] += value * weight[j];
        }
    }
    UNROLL for (int r = 0; r < ROWS; ++r)
        UNROLL for (int j = 0; j < COLUMNS; ++j) {
            float* to = z + r * stride + j * LANES;
            store(to, load(to) + sum[r][j]);
        }
}

template <int ROWS, int COLUMNS, class... Rest>
INLINE void forward_rows(int64_t rows, Rest... rest) {
    if constexpr (ROWS > 1) {
        if (rows < ROWS) return forward_rows<ROWS - 1, COLUMNS>(rows, rest...);
    }
    forward_tile<ROWS, COLUMNS>(rest...);
}

// How many samples a tile of so many vectors holds: accumulators, the weights' vectors and one more fit in registers.
constexpr int most_rows(int columns) {
    return columns == 1 ? (REGISTERS == 32 ? 12 : 8) : (REGISTERS - 2 - columns) * 7 / (8 * columns);
}

// Vectors [j, vectors) of z for all n samples, as many whole tiles of COLUMNS vectors as there are.
template <int COLUMNS>
void forward_strips(int64_t& j, int64_t vectors, const float* x, int64_t n, const float* w, int64_t count, float* z,
                    int64_t stride) {
    constexpr int most = most_rows(COLUMNS);
    const int64_t tiles = (n + most - 1) / most;
    for (; j + COLUMNS <= vectors; j += COLUMNS)
        for (int64_t tile = 0; tile < tiles; ++tile) {
            const int64_t begin = tile * n / tiles, end = (tile + 1) * n / tiles;
            forward_rows<most, COLUMNS>(end - begin, x + begin * CHUNK, w + j * LANES, count,
                                        z + begin * stride + j * LANES, stride);
        }
}

// One chunk of the forward product: few samples take wide tiles, or too few sums would be under way at once.
void forward_chunk(const float* x, int64_t n, const float* w, int64_t count, float* z, int64_t vectors,
                   int64_t stride) {
    int64_t j = 0;
    if (n <= most_rows(8)) forward_strips<8>(j, vectors, x, n, w, count, z, stride);
    if (n <= most_rows(4)) forward_strips<4>(j, vectors, x, n, w, count, z, stride);
    forward_strips<2>(j, vectors, x, n, w, count, z, stride);
    forward_strips<1>(j, vectors, x, n, w, count, z, stride);
}

// ----------------------------------------------------------------------------------------------------------- update

// The gradient of ROWS rows of weights, COLUMNS vectors wide, over n samples; then their step.
template <int ROWS, int COLUMNS, bool PLAIN>
INLINE void update_tile(const Step& step, const float* x, int64_t n, const float* delta, int64_t stride, float* w,
                        float* v, const float* drift) {
    Vector sum[ROWS][COLUMNS] = {};
    const float keep = step.keep, through = step.through;
    if (PLAIN)
        UNROLL for (int i = 0; i < ROWS; ++i)
            UNROLL for (int j = 0; j < COLUMNS; ++j) sum[i][j] = keep * load(v + i * stride + j * LANES);
    for (int64_t r = 0; r < n; ++r) {
        Vector error[COLUMNS];
        UNROLL for (int j = 0; j < COLUMNS; ++j) error[j] = load(delta + r * stride + j * LANES);
        UNROLL for (int i = 0; i < ROWS; ++i) {
            const float value = x[r * CHUNK + i];
            UNROLL for (int j = 0; j < COLUMNS; ++j) sum[i][j] += value * error[j];
        }
    }
    if (!PLAIN) {
        UNROLL for (int i = 0; i < ROWS; ++i)
            UNROLL for (int j = 0; j < COLUMNS; ++j) {
                const int64_t place = i * stride + j * LANES;
                descend(step, sum[i][j], w + place, v + place, drift ? drift + place : nullptr);
            }
        return;
    }
    UNROLL for (int i = 0; i < ROWS; ++i)  // all of w, then all of v: stores that alternate are slower
        UNROLL for (int j = 0; j < COLUMNS; ++j) {
            float* to = w + i * stride + j * LANES;
            store(to, load(to) - through * sum[i][j]);
        }
    UNROLL for (int i = 0; i < ROWS; ++i)
        UNROLL for (int j = 0; j < COLUMNS; ++j) store(v + i * stride + j * LANES, sum[i][j]);
}

template <int ROWS, bool PLAIN>
void update_rows(const Step& step, const float* x, int64_t n, const float* delta, int64_t stride, float* w, float* v,
                 const float* drift, int64_t vectors) {
    int64_t j = 0;
    for (; j + 2 <= vectors; j += 2) {
        const int64_t o = j * LANES;
        update_tile<ROWS, 2, PLAIN>(step, x, n, delta + o, stride, w + o, v + o, drift ? drift + o : nullptr);
    }
    if (j < vectors) {
        const int64_t o = j * LANES;
        update_tile<ROWS, 1, PLAIN>(step, x, n, delta + o, stride, w + o, v + o, drift ? drift + o : nullptr);
    }
}

template <int ROWS, bool PLAIN, class... Rest>
INLINE void update_last(int64_t rows, Rest... rest) {
    if constexpr (ROWS > 1) {
        if (rows < ROWS) return update_last<ROWS - 1, PLAIN>(rows, rest...);
    }
    update_rows<ROWS, PLAIN>(rest...);
}

template <int ROWS, bool PLAIN>
void update_by(const Step& step, const float* x, int64_t n, const float* delta, int64_t stride, int64_t count,
               float* w, float* v, const float* drift, int64_t vectors) {
    int64_t k = 0;
    const auto rows = [&](auto update) {
        const int64_t o = k * stride;
        update(step, x + k, n, delta, stride, w + o, v + o, drift ? drift + o : nullptr, vectors);
    };
    for (; k + ROWS <= count; k += ROWS) rows(update_rows<ROWS, PLAIN>);
    if (k < count) rows([&](auto... rest) { update_last<ROWS - 1, PLAIN>(count - k, rest...); });
}

// Rows of a tile. Of few samples small tiles are done soon, and the weights of the next one arrive meanwhile: both fit
// in the processor's window of instructions.
constexpr int MOST_ROWS = REGISTERS == 32 ? 8 : 4, FEW_ROWS = REGISTERS == 32 ? 5 : 4;
INLINE bool many(int64_t n, int64_t vectors) { return n > 24 || vectors == 1; }

// `count` rows of weights, at most a chunk.
template <bool PLAIN>
void update_chunk(const Step& step, const float* x, int64_t n, const float* delta, int64_t stride, int64_t count,
                  float* w, float* v, const float* drift, int64_t vectors) {
    const auto chunk = many(n, vectors) ? update_by<MOST_ROWS, PLAIN> : update_by<FEW_ROWS, PLAIN>;
    chunk(step, x, n, delta, stride, count, w, v, drift, vectors);
}

}  // namespace
