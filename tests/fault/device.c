/*
 * A library for LD_PRELOAD that loses the device: from the moment that the file $MODPROP_DEVICE_FAULT exists, every
 * launch of a kernel fails. Built by meson as libdevicefault.so; used by tests/fault/test_device.py.
 *
 * The backend finds OpenCL's functions by dlsym, so that is what this library replaces.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CL_OUT_OF_RESOURCES (-5)

typedef int32_t launch(void *queue, void *kernel, uint32_t dimensions, const size_t *from, const size_t *global,
                       const size_t *local, uint32_t count, const void *events, void *event);

static launch *real_launch;

static int32_t launch_or_fail(void *queue, void *kernel, uint32_t dimensions, const size_t *from, const size_t *global,
                              const size_t *local, uint32_t count, const void *events, void *event) {
    const char *fault = getenv("MODPROP_DEVICE_FAULT");
    if (fault != NULL && access(fault, F_OK) == 0) {
        return CL_OUT_OF_RESOURCES;
    }
    return real_launch(queue, kernel, dimensions, from, global, local, count, events, event);
}

/* glibc has had this version of dlsym, on every architecture, since it is part of libc itself. */
__attribute__((visibility("default"))) void *dlsym(void *restrict handle, const char *restrict name) {
    static void *(*real)(void *, const char *);
    if (real == NULL) {
        *(void **)(void *)&real = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    }
    void *found = real(handle, name);
    if (found != NULL && strcmp(name, "clEnqueueNDRangeKernel") == 0) {
        *(void **)(void *)&real_launch = found;
        *(void **)(void *)&found = *(void **)(void *)&(launch *){launch_or_fail};
    }
    return found;
}
