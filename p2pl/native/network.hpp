// One device's network in scratch memory: its layers, their forward and backward passes over one batch.
#pragma once
#include <math.h>

#include "forward.hpp"
#include "functions.hpp"
#include "job.hpp"
#include "moving.hpp"
#include "update.hpp"

namespace {

constexpr int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

constexpr int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// Hands out aligned pieces of one block of memory; without a block it only adds up what will be needed.
struct Arena {
    char* base;
    int64_t used = 0;

    template <class T> T* take(int64_t count) {
        T* piece = reinterpret_cast<T*>(base + used);
        used += round_up(count * static_cast<int64_t>(sizeof(T)), 64);
        return base ? piece : nullptr;
    }
};

// Layer l: z = scale W h + bias_scale b. Weights and velocities (in, out) with rows `stride` apart; the columns beyond
// `out` hold zeros when a device comes, and so stay zero while its numbers are finite.
struct Layer {
    int64_t in, out, vectors, stride;
    float scale, bias_scale;
    float *weight, *velocity, *drift;
    float *bias, *bias_velocity, *bias_drift;  // (stride)
    float* held;                               // what comes in, h: (chunks, n, CHUNK); the first layer's is in `Batch`
    float* slope;                              // (n, stride): z, then act'(z), then the loss's derivative by z

    Layer(const Job& job, int64_t l)
        : in(job.widths[l]), out(job.widths[l + 1]), vectors((out + LANES - 1) / LANES), stride(round_up(out, LINE)),
          scale(static_cast<float>(job.scales[2 * l])), bias_scale(static_cast<float>(job.scales[2 * l + 1])) {
        if (stride >= 8 * LINE && stride / LINE % 2 == 0) stride += LINE;  // rows meet in all sets of the cache
    }

    void take(Arena& arena, int64_t samples, bool first, bool drifts) {
        const int64_t size = round_up(in, LINE) * stride;
        weight = arena.take<float>(size), velocity = arena.take<float>(size);
        drift = drifts ? arena.take<float>(size) : nullptr;
        bias = arena.take<float>(stride), bias_velocity = arena.take<float>(stride);
        bias_drift = drifts ? arena.take<float>(stride) : nullptr;
        held = first ? nullptr : arena.take<float>(round_up(in, CHUNK) * samples);
        slope = first ? nullptr : arena.take<float>(samples * stride);
    }
};

// ------------------------------------------------------------------------------------------------------ activations

// The places of the names in ACTIVATIONS of library.py.
enum Activation { RELU, TANH, ERF, GELU, SIGMOID, IDENTITY };

struct Point {
    Vector value, slope;
};

template <int ACTIVATION> INLINE Point activate(Vector z) {
    constexpr float two_by_root_pi = 1.1283791670955126f, root_half = 0.7071067811865476f;
    constexpr float normal = 0.3989422804014327f;  // 1 / sqrt(2 pi)
    if constexpr (ACTIVATION == RELU) return {z <= 0.0f ? all(0) : z, z > 0.0f ? all(1) : all(0)};
    if constexpr (ACTIVATION == IDENTITY) return {z, all(1)};
    if constexpr (ACTIVATION == ERF) return {erf_of(z), two_by_root_pi * exp_of(-z * z)};
    if constexpr (ACTIVATION == TANH) {
        const Vector a = tanh_of(z);
        return {a, 1.0f - a * a};
    }
    if constexpr (ACTIVATION == SIGMOID) {
        const Vector a = 1.0f / (1.0f + exp_of(-z));
        return {a, a * (1.0f - a)};
    }
    if constexpr (ACTIVATION == GELU) {
        const Vector below = 0.5f * (1.0f + erf_of(root_half * z));
        return {z * below, below + z * normal * exp_of(-0.5f * z * z)};
    }
}

// Which lanes are before the first `some`.
INLINE Integers within(int64_t some) { return lanes() < static_cast<int32_t>(some < LANES ? some : LANES); }

// z of `layer` is complete: its values go to `held` of the next layer, its slopes in the place of z. What lies beyond
// the outputs keeps its zeros there; in `held` nobody reads it.
template <int ACTIVATION> void activate_all(const Layer& layer, float* z, int64_t n, float* held) {
    for (int64_t begin = 0; begin < layer.out; begin += CHUNK) {
        const int64_t some = layer.out - begin < CHUNK ? layer.out - begin : CHUNK;
        for (int64_t r = 0; r < n; ++r) {
            float* from = z + r * layer.stride + begin;
            float* to = held + begin * n + r * CHUNK;
            const float* bias = layer.bias + begin;
            for (int64_t o = 0; o < some; o += LANES) {
                const Point a =
                    activate<ACTIVATION>(layer.scale * load(from + o) + layer.bias_scale * load(bias + o));
                store(to + o, a.value);
                store(from + o, within(some - o) ? a.slope : Vector{});
            }
        }
    }
}

void activate(int64_t activation, const Layer& layer, float* z, int64_t n, float* held) {
    switch (activation) {
        case RELU: return activate_all<RELU>(layer, z, n, held);
        case TANH: return activate_all<TANH>(layer, z, n, held);
        case ERF: return activate_all<ERF>(layer, z, n, held);
        case GELU: return activate_all<GELU>(layer, z, n, held);
        case SIGMOID: return activate_all<SIGMOID>(layer, z, n, held);
        default: return activate_all<IDENTITY>(layer, z, n, held);
    }
}

// ------------------------------------------------------------------------------------------------------------- loss

enum Loss { CROSS_ENTROPY, MSE };  // the places of the names in LOSSES of library.py

// One sample's outputs z become the derivative of its share of the loss, `share` times its own.
void loss_slope(const Job& job, int64_t sample, float* z, int64_t outputs, float share) {
    const int64_t wanted = job.classes ? job.classes[sample] : -1;
    const float* values = job.values ? job.values + sample * outputs : nullptr;
    if (job.loss == MSE) {
        const float scale = 2 * share / static_cast<float>(outputs);
        for (int64_t c = 0; c < outputs; ++c) z[c] = (z[c] - (values ? values[c] : c == wanted ? 1.0f : 0.0f)) * scale;
        return;
    }
    Vector top = all(-INFINITY), total = {};
    for (int64_t c = 0; c < outputs; c += LANES) {
        const Vector value = within(outputs - c) ? load(z + c) : all(-INFINITY);
        top = value > top ? value : top;
    }
    top = over_lanes(top, [](Vector a, Vector b) { return a > b ? a : b; });
    for (int64_t c = 0; c < outputs; c += LANES) {
        const Vector power = within(outputs - c) ? exp_of(load(z + c) - top) : Vector{};
        store(z + c, power), total += power;
    }
    total = over_lanes(total, [](Vector a, Vector b) { return a + b; });
    for (int64_t c = 0; c < outputs; c += LANES) {
        const Vector chance = load(z + c) / total, hit = lanes() == static_cast<int32_t>(wanted - c) ? all(1) : all(0);
        store(z + c, within(outputs - c) ? share * (chance - hit) : Vector{});
    }
}

// The same by cross-entropy for at most LANES samples of at most LANES outputs, rows of z: samples take the lanes, so
// that no sum goes across them.
void loss_slopes(const Job& job, const int64_t* samples, int64_t n, float* z, int64_t stride, int64_t outputs,
                 float share) {
    Vector tile[LANES] = {}, total = {};
    for (int64_t r = 0; r < n; ++r) tile[r] = load(z + r * stride);
    turn(tile);
    Vector top = tile[0];
    for (int64_t c = 1; c < outputs; ++c) top = tile[c] > top ? tile[c] : top;
    for (int64_t c = 0; c < outputs; ++c) tile[c] = exp_of(tile[c] - top), total += tile[c];
    for (int64_t c = 0; c < outputs; ++c) tile[c] *= share / total;
    turn(tile);
    for (int64_t r = 0; r < n; ++r) {
        store(z + r * stride, tile[r]);
        z[r * stride + job.classes[samples[r]]] -= share;
    }
}

// ----------------------------------------------------------------------------------------------------------- passes

// z of a layer but the first, from what it holds.
void forward(const Layer& layer, int64_t n) {
    memset(layer.slope, 0, 4 * n * layer.stride);
    for (int64_t begin = 0; begin < layer.in; begin += CHUNK) {
        const int64_t count = layer.in - begin < CHUNK ? layer.in - begin : CHUNK;
        const Weights weights{layer.weight + begin * layer.stride, nullptr};
        forward_chunk({layer.held + begin * n, n, weights, count, layer.slope, layer.stride}, layer.out);
    }
}

// The step of the biases; then delta is what both the weights' gradient and the layer below need: scale times itself.
void update_bias(const Layer& layer, const Step& step, bool has_bias, float* delta, int64_t n) {
    for (int64_t o = 0; has_bias && o < layer.vectors * LANES; o += LANES) {
        Vector sum = {};
        for (int64_t r = 0; r < n; ++r) sum += load(delta + r * layer.stride + o);
        descend(step, layer.bias_scale * sum, layer.bias + o, layer.bias_velocity + o,
                layer.bias_drift ? layer.bias_drift + o : nullptr);
    }
    for (int64_t i = 0; layer.scale != 1 && i < n * layer.stride; i += LANES)
        store(delta + i, layer.scale * load(delta + i));
}

// The step of `count` rows of weights from `begin` on; given.x: what comes in there.
void update(const Layer& layer, const Step& step, const Given& given, int64_t begin, int64_t count) {
    const Rows rows{layer.weight, layer.velocity, layer.drift, layer.stride};
    update_chunk(step, given, rows.at(begin, 0), count, layer.out);
}

// Delta of the layer below, in the place of its slopes, then this layer's step: one sweep over its weights.
void backward(const Layer& layer, const Layer& below, float* delta_below, const Step& step, int64_t n) {
    for (int64_t begin = 0; begin < layer.in; begin += CHUNK) {
        const int64_t end = layer.in - begin < CHUNK ? layer.in : begin + CHUNK;
        for (int64_t k = begin; k < end; k += LANES) {
            const float* weights = layer.weight + k * layer.stride;
            if (layer.vectors == 1) backward_few(layer.slope, n, weights, layer.stride, delta_below + k, below.stride);
            else backward_many(layer.slope, n, weights, layer.stride, layer.vectors, delta_below + k, below.stride);
        }
        update(layer, step, {layer.held + begin * n, layer.slope, n, 0}, begin, end - begin);
    }
}

}  // namespace
