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
// The loss, and so g, is `rate` times the caller's, v `unit` times. plain: heavy ball alone, with rate = lr and unit =
// lr momentum: what a step takes from w is v + g, to which only pipes for additions are needed, and v <- keep (v + g).
struct Step {
    float decay, keep, take, direct, through, rate, unit;
    bool plain;
};

// One vector's step.
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

// What inputs are multiplied with: w, or where v is not null w - v.
struct Weights {
    const float *w, *v;
};

// z (ROWS of `stride`) += x (ROWS of CHUNK, `count` used) times as many rows of weights from column o on, COLUMNS
// vectors wide.
template <int ROWS, int COLUMNS, bool AHEAD>
void forward_tile(const float* x, Weights weights, int64_t o, int64_t count, float* z, int64_t stride) {
    Vector sum[ROWS][COLUMNS] = {};
    const float *w = weights.w + o, *v = AHEAD ? weights.v + o : nullptr;
    for (int64_t k = 0; k < count; ++k) {
        Vector weight[COLUMNS];
        UNROLL for (int j = 0; j < COLUMNS; ++j) weight[j] = load(w + k * stride + j * LANES);
        if (AHEAD) UNROLL for (int j = 0; j < COLUMNS; ++j) weight[j] -= load(v + k * stride + j * LANES);
        UNROLL for (int r = 0; r < ROWS; ++r) {
            const float value = x[r * CHUNK + k];
            UNROLL for (int j = 0; j < COLUMNS; ++j) sum[r][j] += value * weight[j];
        }
    }
    UNROLL for (int r = 0; r < ROWS; ++r)
        UNROLL for (int j = 0; j < COLUMNS; ++j) {
            float* to = z + r * stride + o + j * LANES;
            store(to, load(to) + sum[r][j]);
        }
}

template <int ROWS, int COLUMNS, bool AHEAD, class... Rest>
INLINE void forward_rows(int64_t rows, Rest... rest) {
    if constexpr (ROWS > 1) {
        if (rows < ROWS) return forward_rows<ROWS - 1, COLUMNS, AHEAD>(rows, rest...);
    }
    forward_tile<ROWS, COLUMNS, AHEAD>(rest...);
}

// How many samples a tile of so many vectors holds: accumulators, the weights' vectors and one more fit in registers.
constexpr int most_rows(int columns) {
    return columns == 1 ? (REGISTERS == 32 ? 12 : 8) : (REGISTERS - 2 - columns) * 7 / (8 * columns);
}

// Vectors [j, vectors) of z for all n samples, as many whole tiles of COLUMNS vectors as there are.
template <int COLUMNS, bool AHEAD>
void forward_strips(int64_t& j, int64_t vectors, const float* x, int64_t n, const Weights& weights, int64_t count,
                    float* z, int64_t stride) {
    constexpr int most = most_rows(COLUMNS);
    const int64_t tiles = (n + most - 1) / most;
    for (; j + COLUMNS <= vectors; j += COLUMNS)
        for (int64_t tile = 0; tile < tiles; ++tile) {
            const int64_t begin = tile * n / tiles, end = (tile + 1) * n / tiles;
            forward_rows<most, COLUMNS, AHEAD>(end - begin, x + begin * CHUNK, weights, j * LANES, count,
                                               z + begin * stride, stride);
        }
}

// One chunk of the forward product: few samples take wide tiles, or too few sums would be under way at once.
template <bool AHEAD>
void forward_by(const float* x, int64_t n, const Weights& weights, int64_t count, float* z, int64_t vectors,
                int64_t stride) {
    int64_t j = 0;
    if (n <= most_rows(8)) forward_strips<8, AHEAD>(j, vectors, x, n, weights, count, z, stride);
    if (n <= most_rows(4)) forward_strips<4, AHEAD>(j, vectors, x, n, weights, count, z, stride);
    forward_strips<2, AHEAD>(j, vectors, x, n, weights, count, z, stride);
    forward_strips<1, AHEAD>(j, vectors, x, n, weights, count, z, stride);
}

void forward_chunk(const float* x, int64_t n, const Weights& weights, int64_t count, float* z, int64_t vectors,
                   int64_t stride) {
    const auto chunk = weights.v ? forward_by<true> : forward_by<false>;
    chunk(x, n, weights, count, z, vectors, stride);
}

// ----------------------------------------------------------------------------------------------------------- update

// What weights learn from: n samples' inputs x (CHUNK apart) and the loss's derivatives delta (rows of the weights'
// stride apart); and `then` those of the batch after, which follow.
struct Given {
    const float *x, *delta;
    int64_t n, then;

    INLINE Given at(int64_t k) const { return {x + k, delta, n, then}; }
};

// Adds the gradient of ROWS rows of weights, COLUMNS vectors wide, over n samples.
template <int ROWS, int COLUMNS>
INLINE void add_gradient(Vector (&sum)[ROWS][COLUMNS], const float* x, const float* delta, int64_t n, int64_t stride) {
    for (int64_t r = 0; r < n; ++r) {
        Vector error[COLUMNS];
        UNROLL for (int j = 0; j < COLUMNS; ++j) error[j] = load(delta + r * stride + j * LANES);
        UNROLL for (int i = 0; i < ROWS; ++i) {
            const float value = x[r * CHUNK + i];
            UNROLL for (int j = 0; j < COLUMNS; ++j) sum[i][j] += value * error[j];
        }
    }
}

// The step of such a tile.
template <int ROWS, int COLUMNS>
INLINE void any_tile(const Step& step, const Given& given, const float* delta, int64_t stride, float* w, float* v,
                     const float* drift) {
    Vector sum[ROWS][COLUMNS] = {};
    add_gradient(sum, given.x, delta, given.n, stride);
    UNROLL for (int i = 0; i < ROWS; ++i)
        UNROLL for (int j = 0; j < COLUMNS; ++j) {
            const int64_t place = i * stride + j * LANES;
            descend(step, sum[i][j], w + place, v + place, drift ? drift + place : nullptr);
        }
}

// The plain one; PAIR: then that with the second batch, while all stay in registers.
template <int ROWS, int COLUMNS, bool PAIR>
INLINE void plain_tile(float keep, const Given& given, const float* delta, int64_t stride, float* w, float* v) {
    Vector sum[ROWS][COLUMNS], weight[ROWS][COLUMNS];
    UNROLL for (int i = 0; i < ROWS; ++i)
        UNROLL for (int j = 0; j < COLUMNS; ++j) sum[i][j] = load(v + i * stride + j * LANES);
    add_gradient(sum, given.x, delta, given.n, stride);
    if (PAIR) {
        UNROLL for (int i = 0; i < ROWS; ++i)
            UNROLL for (int j = 0; j < COLUMNS; ++j) {
                weight[i][j] = load(w + i * stride + j * LANES) - sum[i][j];
                sum[i][j] *= keep;
            }
        add_gradient(sum, given.x + given.n * CHUNK, delta + given.n * stride, given.then, stride);
    }
    UNROLL for (int i = 0; i < ROWS; ++i)
        UNROLL for (int j = 0; j < COLUMNS; ++j) {
            const float* from = w + i * stride + j * LANES;
            weight[i][j] = (PAIR ? weight[i][j] : load(from)) - sum[i][j];
            sum[i][j] *= keep;
        }
    UNROLL for (int i = 0; i < ROWS; ++i)  // all of w, then all of v: stores that alternate are slower
        UNROLL for (int j = 0; j < COLUMNS; ++j) store(w + i * stride + j * LANES, weight[i][j]);
    UNROLL for (int i = 0; i < ROWS; ++i)
        UNROLL for (int j = 0; j < COLUMNS; ++j) store(v + i * stride + j * LANES, sum[i][j]);
}

enum Rule { ANY, PLAIN, PAIR };

template <int ROWS, int COLUMNS, Rule RULE>
INLINE void update_tile(const Step& step, const Given& given, int64_t o, int64_t stride, float* w, float* v,
                        const float* drift) {
    const float* delta = given.delta + o;
    if (RULE == ANY) any_tile<ROWS, COLUMNS>(step, given, delta, stride, w + o, v + o, drift ? drift + o : nullptr);
    else plain_tile<ROWS, COLUMNS, RULE == PAIR>(step.keep, given, delta, stride, w + o, v + o);
}

template <int ROWS, Rule RULE>
void update_rows(const Step& step, const Given& given, int64_t stride, float* w, float* v, const float* drift,
                 int64_t vectors) {
    int64_t j = 0;
    for (; j + 2 <= vectors; j += 2)
        update_tile<ROWS, 2, RULE>(step, given, j * LANES, stride, w, v, drift);
    if (j < vectors) update_tile<ROWS, 1, RULE>(step, given, j * LANES, stride, w, v, drift);
}

template <int ROWS, Rule RULE, class... Rest>
INLINE void update_last(int64_t rows, Rest... rest) {
    if constexpr (ROWS > 1) {
        if (rows < ROWS) return update_last<ROWS - 1, RULE>(rows, rest...);
    }
    update_rows<ROWS, RULE>(rest...);
}

template <int ROWS, Rule RULE>
void update_by(const Step& step, const Given& given, int64_t stride, int64_t count, float* w, float* v,
               const float* drift, int64_t vectors) {
    int64_t k = 0;
    const auto rows = [&](auto update) {
        const int64_t o = k * stride;
        update(step, given.at(k), stride, w + o, v + o, drift ? drift + o : nullptr, vectors);
    };
    for (; k + ROWS <= count; k += ROWS) rows(update_rows<ROWS, RULE>);
    if (k < count) rows([&](auto... rest) { update_last<ROWS - 1, RULE>(count - k, rest...); });
}

// Rows of a tile. Of few samples small tiles are done soon, and the weights of the next one arrive meanwhile: both fit
// in the processor's window of instructions.
constexpr int MOST_ROWS = REGISTERS == 32 ? 8 : 4, FEW_ROWS = REGISTERS == 32 ? 5 : 4;
INLINE bool many(int64_t n, int64_t vectors) { return n > 24 || vectors == 1; }

// `count` rows of weights, at most a chunk.
void update_chunk(const Step& step, const Given& given, int64_t stride, int64_t count, float* w, float* v,
                  const float* drift, int64_t vectors) {
    const auto chunk = [&](auto few, auto most) {
        (many(given.n, vectors) ? most : few)(step, given, stride, count, w, v, drift, vectors);
    };
    if (given.then) update_by<FEW_ROWS, PAIR>(step, given, stride, count, w, v, drift, vectors);
    else if (step.plain) chunk(update_by<FEW_ROWS, PLAIN>, update_by<MOST_ROWS, PLAIN>);
    else chunk(update_by<FEW_ROWS, ANY>, update_by<MOST_ROWS, ANY>);
}

}  // namespace
