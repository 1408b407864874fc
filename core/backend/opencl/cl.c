/*
 * The loader and the list of devices: see cl.h.
 *
 * A device whose arithmetic is not that of the processor is listed, and not suitable: single precision needs fused
 * multiply-add, subnormal numbers, infinities, rounding to the nearest and correctly rounded division and square root;
 * double precision the same (where a device has it, OpenCL 1.2 wants its division to be correctly rounded).
 */
#include "core/backend/opencl/cl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct {
    pthread_once_t once;
    struct cl_functions functions;
    bool loaded;
    char error[256];
    struct cl_device devices[CL_DEVICES_MOST];
    int count;
} loader = {.once = PTHREAD_ONCE_INIT};

static bool functions_find(void *library) {
#define CL_FIND(result, name, parameters)                                                                              \
    *(void **)(void *)&loader.functions.name = dlsym(library, "cl" #name);                                             \
    if (!loader.functions.name) {                                                                                      \
        snprintf(loader.error, sizeof loader.error, "libOpenCL.so.1 lacks cl" #name);                                  \
        return false;                                                                                                  \
    }
    CL_FUNCTIONS(CL_FIND)
#undef CL_FIND
    return true;
}

static void text_get(cl_device_id id, cl_uint what, char text[CL_NAME_BYTES]) {
    if (loader.functions.GetDeviceInfo(id, what, CL_NAME_BYTES, text, NULL) != CL_SUCCESS) {
        text[0] = '\0';
    }
    text[CL_NAME_BYTES - 1] = '\0';
}

/* A number of 4 or 8 bytes; 0 where the device does not know it. */
static uint64_t number_get(cl_device_id id, cl_uint what, size_t size) {
    uint64_t eight = 0;
    uint32_t four = 0;
    void *to = size == 4 ? (void *)&four : (void *)&eight;
    if (loader.functions.GetDeviceInfo(id, what, size, to, NULL) != CL_SUCCESS) {
        return 0;
    }
    return size == 4 ? four : eight;
}

static bool lacks(struct cl_device *device, const char *precision, uint64_t has, uint64_t bit, const char *what) {
    if (has & bit) {
        return false;
    }
    snprintf(device->why, sizeof device->why, "it has no %s in %s precision", what, precision);
    return true;
}

static void suitability_find(struct cl_device *device) {
    uint64_t single = number_get(device->id, CL_DEVICE_SINGLE_FP_CONFIG, 8),
             twofold = number_get(device->id, CL_DEVICE_DOUBLE_FP_CONFIG, 8);
    if (twofold == 0) {
        snprintf(device->why, sizeof device->why, "it has no double precision");
        return;
    }
    static const struct {
        uint64_t bit;
        const char *what;
    } needs[] = {{CL_FP_FMA, "fused multiply-add"},
                 {CL_FP_DENORM, "subnormal numbers"},
                 {CL_FP_INF_NAN, "infinities"},
                 {CL_FP_ROUND_TO_NEAREST, "rounding to the nearest"}};
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
        if (lacks(device, "single", single, needs[i].bit, needs[i].what) ||
            lacks(device, "double", twofold, needs[i].bit, needs[i].what)) {
            return;
        }
    }
    device->suitable = !lacks(device, "single", single, CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT,
                              "correctly rounded division and square root");
}

static void device_describe(struct cl_device *device, cl_platform_id platform) {
    if (loader.functions.GetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof device->platform, device->platform, NULL) !=
        CL_SUCCESS) {
        device->platform[0] = '\0';
    }
    text_get(device->id, CL_DEVICE_NAME, device->name);
    text_get(device->id, CL_DEVICE_VERSION, device->version);
    text_get(device->id, CL_DRIVER_VERSION, device->driver);
    device->gpu = number_get(device->id, CL_DEVICE_TYPE, 8) & CL_DEVICE_TYPE_GPU;
    device->group_items = (size_t)number_get(device->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t));
    device->memory = number_get(device->id, CL_DEVICE_GLOBAL_MEM_SIZE, 8);
    device->allocation_most = number_get(device->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, 8);
    device->local_memory = number_get(device->id, CL_DEVICE_LOCAL_MEM_SIZE, 8);
    device->units = (unsigned)number_get(device->id, CL_DEVICE_MAX_COMPUTE_UNITS, 4);
    suitability_find(device);
}

static void devices_list(void) {
    cl_platform_id platforms[16];
    cl_uint platform_count = 0;
    if (loader.functions.GetPlatformIDs(16, platforms, &platform_count) != CL_SUCCESS) {
        platform_count = 0;
    }
    for (cl_uint p = 0; p < platform_count && p < 16; p++) {
        cl_device_id ids[CL_DEVICES_MOST];
        cl_uint found = 0, room = (cl_uint)(CL_DEVICES_MOST - loader.count);
        if (room == 0 || loader.functions.GetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, room, ids, &found)) {
            continue;
        }
        for (cl_uint d = 0; d < found && d < room; d++) {
            struct cl_device *device = &loader.devices[loader.count++];
            device->id = ids[d];
            device_describe(device, platforms[p]);
        }
    }
    if (loader.count == 0) {
        snprintf(loader.error, sizeof loader.error, "no OpenCL driver lists a device (see /etc/OpenCL/vendors)");
    }
}

static void loader_run(void) {
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(loader.error, sizeof loader.error, "there is no OpenCL loader: libOpenCL.so.1 cannot be opened");
        return;
    }
    loader.loaded = functions_find(library);
    if (loader.loaded) {
        devices_list();
    }
}

const struct cl_functions *cl_load(char error[256]) {
    pthread_once(&loader.once, loader_run);
    if (!loader.loaded) {
        snprintf(error, 256, "%s", loader.error);
        return NULL;
    }
    return &loader.functions;
}

int cl_devices(const struct cl_device **devices, char error[256]) {
    if (!cl_load(error)) {
        return 0;
    }
    if (loader.count == 0) {
        snprintf(error, 256, "%s", loader.error);
    }
    *devices = loader.devices;
    return loader.count;
}

const char *cl_error_name(cl_int error) {
    switch (error) {
    case CL_SUCCESS:
        return "success";
    case CL_DEVICE_NOT_FOUND:
        return "device not found";
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
        return "out of the device's memory";
    case CL_OUT_OF_RESOURCES:
        return "out of the device's resources";
    case CL_OUT_OF_HOST_MEMORY:
        return "out of memory";
    case CL_BUILD_PROGRAM_FAILURE:
        return "the program could not be built";
    default:
        return "failed";
    }
}
