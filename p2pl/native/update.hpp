// The update, of small tiles that stay in registers; layouts as in forward.hpp.
//
//   G[k][o] = sum_n X[n][k] D[n][o]      X broadcast, D by vectors; the step while G is in registers
#pragma once
#include "folds.hpp"

namespace {

// The coefficients of one step. Written for all cases at once:
//   g += decay w;  v <- keep v + take g;  w <- w - (direct g + through v) + drift
// The loss, and so g, is `rate` times the caller's, v `unit` times. plain: heavy ball alone, with rate = lr and unit =
// lr momentum: what a step takes from w is v + g, to which only pipes for additions are needed, and v <- keep (v + g).
struct Step {
    float decay, keep, take, direct, through, rate, unit;
    bool plain;
};

// One vector's step, of FOLD rows.
template <int FOLD = 1>
INLINE void descend(const Step& step, Vector g, float* w, float* v, const float* drift, int64_t stride = 0) {
    Vector weight = rows_at<FOLD>(w, stride), speed = rows_at<FOLD>(v, stride);
    g += step.decay * weight;
    speed = step.keep * speed + step.take * g;
    weight -= step.direct * g + step.through * speed;
    if (drift) weight += rows_at<FOLD>(drift, stride);
    put_rows<FOLD>(v, stride, speed);
    put_rows<FOLD>(w, stride, weight);
}

// What weights learn from: n samples' inputs x (CHUNK apart) and the loss's derivatives delta (rows of the weights'
// stride apart); and `then` those of the batch after, which follow.
struct Given {
    const float *x, *delta;
    int64_t n, then;

    INLINE Given at(int64_t k, int64_t o) const { return {x + k, delta + o, n, then}; }
    INLINE Given second(int64_t stride) const { return {x + n * CHUNK, delta + n * stride, then, 0}; }
};

// Rows of weights `stride` apart, with their velocities and their drift, or null.
struct Rows {
    float *w, *v;
    const float* drift;
    int64_t stride;

    INLINE Rows at(int64_t k, int64_t o) const {
        const int64_t place = k * stride + o;
        return {w + place, v + place, drift ? drift + place : nullptr, stride};
    }
};

// Adds the gradient of a tile, ROWS times FOLD rows of weights, COLUMNS vectors wide.
template <int ROWS, int COLUMNS, int FOLD>
INLINE void add_gradient(Vector (&sum)[ROWS][COLUMNS], const Given& given, int64_t stride) {
    for (int64_t r = 0; r < given.n; ++r) {
        Vector error[COLUMNS];
        UNROLL for (int j = 0; j < COLUMNS; ++j)
            error[j] = for_rows<FOLD>(load(given.delta + r * stride + j * LANES));
        UNROLL for (int i = 0; i < ROWS; ++i) {
            const Vector value = inputs_at<FOLD>(given.x + r * CHUNK + i * FOLD);
            UNROLL for (int j = 0; j < COLUMNS; ++j) sum[i][j] += value * error[j];
        }
    }
}

// The step of such a tile.
template <int ROWS, int COLUMNS, int FOLD>
INLINE void any_tile(const Step& step, const Given& given, const Rows& rows) {
    Vector sum[ROWS][COLUMNS] = {};
    add_gradient<ROWS, COLUMNS, FOLD>(sum, given, rows.stride);
    UNROLL for (int i = 0; i < ROWS; ++i)
        UNROLL for (int j = 0; j < COLUMNS; ++j) {
            const Rows at = rows.at(i * FOLD, j * LANES);
            descend<FOLD>(step, sum[i][j], at.w, at.v, at.drift, at.stride);
        }
}

// The plain one; PAIR: then that with the second batch, while all stay in registers.
template <int ROWS, int COLUMNS, int FOLD, bool PAIR>
INLINE void plain_tile(float keep, const Given& given, const Rows& rows) {
    const int64_t stride = rows.stride;
    const auto place = [&](int i, int j) { return i * FOLD * stride + j * LANES; };
    Vector sum[ROWS][COLUMNS], weight[ROWS][COLUMNS];
    UNROLL for (int i = 0; i < ROWS; ++i)
        UNROLL for (int j = 0; j < COLUMNS; ++j) sum[i][j] = rows_at<FOLD>(rows.v + place(i, j), stride);
    add_gradient<ROWS, COLUMNS, FOLD>(sum, given, stride);
    if (PAIR) {
        UNROLL for (int i = 0; i < ROWS; ++i)
            UNROLL for (int j = 0; j < COLUMNS; ++j) {
                weight[i][j] = rows_at<FOLD>(rows.w + place(i, j), stride) - sum[i][j];
                sum[i][j] *= keep;
            }
        add_gradient<ROWS, COLUMNS, FOLD>(sum, given.second(stride), stride);
    }
    UNROLL for (int i = 0; i < ROWS; ++i)
        UNROLL for (int j = 0; j < COLUMNS; ++j) {
            if (!PAIR) weight[i][j] = rows_at<FOLD>(rows.w + place(i, j), stride);
            weight[i][j] -= sum[i][j];
            sum[i][j] *= keep;
        }
    UNROLL for (int i = 0; i < ROWS; ++i)  // all of w, then all of v: stores that alternate are slower
        UNROLL for (int j = 0; j < COLUMNS; ++j) put_rows<FOLD>(rows.w + place(i, j), stride, weight[i][j]);
    UNROLL for (int i = 0; i < ROWS; ++i)
        UNROLL for (int j = 0; j < COLUMNS; ++j) put_rows<FOLD>(rows.v + place(i, j), stride, sum[i][j]);
}

enum Rule { ANY, PLAIN, PAIR };

template <int ROWS, int COLUMNS, int FOLD, Rule RULE>
INLINE void update_tile(const Step& step, const Given& given, const Rows& rows) {
    if (RULE == ANY) any_tile<ROWS, COLUMNS, FOLD>(step, given, rows);
    else plain_tile<ROWS, COLUMNS, FOLD, RULE == PAIR>(step.keep, given, rows);
}

// ROWS times FOLD rows; FOLD 1: of their whole vectors, 2: of the last.
template <int ROWS, int FOLD, Rule RULE>
void update_rows(const Step& step, const Given& given, const Rows& rows, int64_t whole) {
    const int64_t last = whole * LANES;
    if constexpr (FOLD == 2) return update_tile<ROWS, 1, 2, RULE>(step, given.at(0, last), rows.at(0, last));
    int64_t o = 0;
    for (; o + 2 * LANES <= last; o += 2 * LANES)
        update_tile<ROWS, 2, 1, RULE>(step, given.at(0, o), rows.at(0, o));
    if (o < last) update_tile<ROWS, 1, 1, RULE>(step, given.at(0, o), rows.at(0, o));
}

template <int ROWS, int FOLD, Rule RULE, class... Rest>
INLINE void update_last(int64_t count, Rest... rest) {
    if constexpr (ROWS > 1) {
        if (count < ROWS * FOLD) return update_last<ROWS - 1, FOLD, RULE>(count, rest...);
    }
    update_rows<ROWS, FOLD, RULE>(rest...);
}

// `count` rows, a multiple of FOLD, ROWS times FOLD at a time.
template <int ROWS, int FOLD, Rule RULE>
INLINE void update_each(const Step& step, const Given& given, const Rows& rows, int64_t count, int64_t whole) {
    int64_t k = 0;
    for (; k + ROWS * FOLD <= count; k += ROWS * FOLD)
        update_rows<ROWS, FOLD, RULE>(step, given.at(k, 0), rows.at(k, 0), whole);
    if (k < count) update_last<ROWS - 1, FOLD, RULE>(count - k, step, given.at(k, 0), rows.at(k, 0), whole);
}

template <int ROWS, Rule RULE>
void update_by(const Step& step, const Given& given, const Rows& rows, int64_t count, int64_t out) {
    const Vectors vectors(out);
    update_each<ROWS, 1, RULE>(step, given, rows, count, vectors.whole);
    if (!vectors.half) return;
    const int64_t even = count / 2 * 2, last = vectors.whole * LANES;
    update_each<ROWS, 2, RULE>(step, given, rows, even, vectors.whole);
    if (even < count) update_tile<1, 1, 1, RULE>(step, given.at(even, last), rows.at(even, last));
}

// Rows of a tile. Of few samples small tiles are done soon, and the weights of the next one arrive meanwhile: both fit
// in the processor's window of instructions.
constexpr int MOST_ROWS = REGISTERS == 32 ? 8 : 4, FEW_ROWS = REGISTERS == 32 ? 5 : 4;
INLINE bool many(int64_t n, int64_t out) { return n > 24 || out <= LANES; }

// `count` rows of weights, at most a chunk, for `out` outputs.
void update_chunk(const Step& step, const Given& given, const Rows& rows, int64_t count, int64_t out) {
    const auto chunk = [&](auto few, auto most) { (many(given.n, out) ? most : few)(step, given, rows, count, out); };
    if (given.then) update_by<FEW_ROWS, PAIR>(step, given, rows, count, out);
    else if (step.plain) chunk(update_by<FEW_ROWS, PLAIN>, update_by<MOST_ROWS, PLAIN>);
    else chunk(update_by<FEW_ROWS, ANY>, update_by<MOST_ROWS, ANY>);
}

}  // namespace
