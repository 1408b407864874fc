/* core/tasks/delayed_xor.c. job->task: cue, delay, noise. data: the pulse (cue). */
#define HAS_TASK 1

void task_draw(__global const struct job *job, struct id id, struct drawn *drawn) {
    struct stream stream = stream_make(job->seed,
                                       id.phase == PHASE_TRAINING ? RANDOM_TRAINING_LABEL : RANDOM_EVALUATION_LABEL,
                                       id.iteration, id.trial);
    drawn->bits = random_bits(stream, 0) & 3;
    drawn->label = drawn->bits == 0 || drawn->bits == 3;
}

void task_inputs(__global const struct job *job, __global const float *data, struct id id, struct drawn drawn, int t,
                 __global float *x) {
    int cue = (int)job->task[0], second = cue + (int)job->task[1];
    float noise = (float)job->task[2];
    struct stream stream = stream_make(job->seed,
                                       id.phase == PHASE_TRAINING ? RANDOM_TRAINING_NOISE : RANDOM_EVALUATION_NOISE,
                                       id.iteration, id.trial);
    float4 four = normal4(stream, (uint)t / 2);
    float a = 0.02f + noise * (t % 2 ? four.z : four.x), b = 0.02f + noise * (t % 2 ? four.w : four.y);
    if ((drawn.bits & 1) && t < cue) {
        a += data[t];
    }
    if ((drawn.bits & 2) && t >= second) {
        b += data[t - second];
    }
    x[0] = a;
    x[1] = b;
}

float task_target(__global const struct job *job, __global const float *data, struct drawn drawn, int t,
                  int *class_index, __global float *values) {
    *class_index = drawn.label;
    return 1.0f;
}
