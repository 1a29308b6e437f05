// The learning phase of each device in turn: its parameters move to scratch memory, all its steps are done there, and
// they move on to where the new ones belong. (Or its outputs alone, see answers.hpp.) One step, t, over a batch of n
// samples:
//
//   first layer   sweep over the weights, a chunk of inputs at a time: update t - 1, then forward t
//   other layers  forward; loss; then from the last layer down: backward and update in one sweep
//
// Compiled once for each instruction set, in a namespace P2PL_SET of its own.
#include <stdlib.h>

#include "answers.hpp"

namespace {

Step step_of(const Job& job) {
    const bool momentum = job.momentum != 0, nesterov = job.nesterov != 0;
    Step step;
    step.decay = static_cast<float>(job.weight_decay);
    step.keep = static_cast<float>(momentum ? job.momentum : 1);
    step.take = momentum ? 1 : 0;
    step.direct = static_cast<float>(nesterov || !momentum ? job.lr : 0);
    step.through = static_cast<float>(nesterov ? job.lr * job.momentum : momentum ? job.lr : 0);
    step.plain = momentum && !nesterov && job.weight_decay == 0 && !job.drift;
    return step;
}

constexpr int64_t FAR = 16 << 20;  // bytes

// One device at a time, in memory that serves all of them.
struct Device {
    const Job& job;
    const Step step;
    Layer* layers;
    float* near;     // (LANES, inputs of the widest layer) weights on their way
    const bool far;  // the models of all devices fit in no cache
    First first;
    Batch batches[2];

    Device(const Job& job, Layer* layers, int64_t samples)
        : job(job), step(step_of(job)), layers(layers), far(4 * job.devices * job.parameters > FAR),
          first(job, step, layers[0], samples) {}

    void take(Arena& arena, int64_t samples, int64_t steps) {
        for (int64_t l = 0; l < job.layers; ++l) layers[l].take(arena, samples, l == 0, job.drift != nullptr);
        int64_t widest = 0;
        for (int64_t l = 0; l < job.layers; ++l) widest = larger(widest, layers[l].in);
        near = arena.take<float>(LANES * widest + LINE);
        for (Batch& batch : batches) first.take(arena, batch, samples);
        first.take(arena, steps);
    }

    // Calls move(the caller's numbers, layer, whether they are its biases) for all parts of a row of parameters.
    template <class Row, class Move> void walk(Row row, Move move) {
        for (int64_t l = 0; l < job.layers; ++l) {
            move(row, layers[l], false);
            row += layers[l].in * layers[l].out;
            if (!job.bias) continue;
            move(row, layers[l], true);
            row += layers[l].out;
        }
    }

    void bring(const float* row, float* Layer::*weight, float* Layer::*bias) {
        walk(row, [&](const float* from, Layer& layer, bool is_bias) {
            if (is_bias) memcpy(layer.*bias, from, 4 * layer.out);
            else weights_in(from, layer.*weight, near, layer.out, layer.in, layer.stride);
        });
    }

    // All velocities become zero.
    void stop() {
        for (int64_t l = 0; l < job.layers; ++l) {
            memset(layers[l].velocity, 0, 4 * layers[l].in * layers[l].stride);
            memset(layers[l].bias_velocity, 0, 4 * layers[l].stride);
        }
    }

    void take_back(float* row, float* Layer::*weight, float* Layer::*bias) {
        walk(row, [&](float* to, Layer& layer, bool is_bias) {
            if (is_bias) memcpy(to, layer.*bias, 4 * layer.out);
            else weights_out(layer.*weight, to, near, layer.out, layer.in, layer.stride, far);
        });
    }

    // An equal part of a device's drift for each of its steps.
    void bring_drift(const float* row, int64_t steps) {
        bring(row, &Layer::drift, &Layer::bias_drift);
        for (int64_t l = 0; l < job.layers; ++l) {
            const Layer& layer = layers[l];
            for (int64_t i = 0; i < layer.in * layer.stride; ++i) layer.drift[i] /= static_cast<float>(steps);
            for (int64_t o = 0; o < layer.out; ++o) layer.bias_drift[o] /= static_cast<float>(steps);
        }
    }

    // From z of the first layer to z of the last; its rows.
    const Layer& upwards(const Batch& batch) {
        const int64_t last = job.layers - 1, n = batch.n;
        layers[0].slope = batch.z;
        for (int64_t l = 1; l <= last; ++l) {
            activate(job.activation, layers[l - 1], layers[l - 1].slope, n, layers[l].held);
            forward(layers[l], n);
        }
        const Layer& top = layers[last];
        for (int64_t r = 0; r < n; ++r) {
            float* z = top.slope + r * top.stride;
            for (int64_t c = 0; c < top.out; ++c) z[c] = top.scale * z[c] + top.bias_scale * top.bias[c];
        }
        return top;
    }

    // From z of the last layer to the loss's derivative by that of the first, with the steps of all others.
    void downwards(const Batch& batch, const Layer& top) {
        for (int64_t r = 0; r < batch.n; ++r)
            loss_slope(job, batch.samples[r], top.slope + r * top.stride, top.out, batch.n);
        for (int64_t l = job.layers - 1; l > 0; --l) {
            update_bias(layers[l], step, job.bias, layers[l].slope, batch.n);
            backward(layers[l], layers[l - 1], layers[l - 1].slope, step, batch.n);
        }
    }

    void learn(int64_t device) {
        const int64_t begin = job.first[device], steps = job.first[device + 1] - begin;
        const int64_t place = job.rows[device] * job.parameters;
        bring(job.x + place, &Layer::weight, &Layer::bias);
        if (job.velocity) bring(job.velocity + place, &Layer::velocity, &Layer::bias_velocity);
        else stop();
        if (job.drift) bring_drift(job.drift + place, steps);
        first.begin(begin, begin + steps);
        for (int64_t t = 0; t < steps; ++t) {
            Batch& now = batches[t % 2];
            first.take(now, begin + t);
            first.sweep(t ? &batches[1 - t % 2] : nullptr, &now, t, t + 1 < steps ? begin + t + 1 : 0);
            downwards(now, upwards(now));
        }
        if (steps) first.sweep(&batches[(steps - 1) % 2], nullptr, steps, 0);
        first.end_after(steps);
        take_back(job.new_x + place, &Layer::weight, &Layer::bias);
        take_back(job.new_velocity + place, &Layer::velocity, &Layer::bias_velocity);
    }

    // The outputs for all samples of the job's batches, which all devices share.
    void answer(int64_t device) {
        bring(job.x + job.rows[device] * job.parameters, &Layer::weight, &Layer::bias);
        if (job.active && job.base != 0) first.common.begin(layers[0]);
        float* out = job.out + device * job.cuts[job.first[1]] * job.widths[job.layers];
        for (int64_t t = job.first[0]; t < job.first[1]; ++t) {
            Batch& now = batches[0];
            if (job.active && !(first.sparse && wide(layers[0]))) {
                forward_listed(job, first, now, t);
            } else {
                first.take(now, t);
                first.sweep(nullptr, &now, 0, t + 1 < job.first[1] ? t + 1 : 0);
            }
            const Layer& top = upwards(now);
            for (int64_t r = 0; r < now.n; ++r, out += top.out) memcpy(out, top.slope + r * top.stride, 4 * top.out);
        }
    }
};

}  // namespace

namespace P2PL_SET {

// All devices of a job: their learning phases, or their outputs. Returns 0, or 1 if there is no memory for the scratch.
int learn(const Job& job) {
    int64_t samples = 0, steps = 0;
    for (int64_t i = 0; i < (job.out ? 1 : job.devices); ++i) {
        steps = larger(steps, job.first[i + 1] - job.first[i]);
        for (int64_t t = job.first[i]; t < job.first[i + 1]; ++t)
            samples = larger(samples, job.cuts[t + 1] - job.cuts[t]);
    }
    Layer* layers = static_cast<Layer*>(malloc(job.layers * sizeof(Layer)));
    if (!layers) return 1;
    for (int64_t l = 0; l < job.layers; ++l) layers[l] = Layer(job, l);
    Device device(job, layers, samples);
    Arena arena{nullptr};
    device.take(arena, samples, steps);
    const int64_t size = arena.used;
    char* memory = static_cast<char*>(aligned_alloc(64, size));
    if (memory) {
        memset(memory, 0, size);  // what pads rows to whole vectors is zero, and stays so
        arena = {memory};
        device.take(arena, samples, steps);
        for (int64_t i = 0; i < job.devices; ++i) job.out ? device.answer(i) : device.learn(i);
        end_streams();
        free(memory);
    }
    free(layers);
    return memory ? 0 : 1;
}

}  // namespace P2PL_SET
