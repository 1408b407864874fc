/* Tasks whose trials are all alike. data: inputs (STEPS, INPUTS), then targets (LOSSES, OUTPUTS). */
#define HAS_TASK 1

void task_draw(__global const struct job *job, struct id id, struct drawn *drawn) {
}

void task_inputs(__global const struct job *job, __global const float *data, struct id id, struct drawn drawn, int t,
                 __global float *x) {
    for (int i = 0; i < INPUTS; i++) {
        x[i] = data[(size_t)t * INPUTS + i];
    }
}

float task_target(__global const struct job *job, __global const float *data, struct drawn drawn, int t,
                  int *class_index, __global float *values) {
    for (int o = 0; o < OUTPUTS; o++) {
        values[o] = data[(size_t)STEPS * INPUTS + (size_t)(t - MASK_FROM) * OUTPUTS + o];
    }
    return 1.0f;
}
