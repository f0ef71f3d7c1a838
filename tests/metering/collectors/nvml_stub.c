/* A small NVML for tests: what its GPUs say stands in the text file that $NVML_STUB names, read again on every call.

   One GPU or MIG instance a line, in order (instances follow their GPU):
     gpu util=50 used=8589934592 total=85899345920 power=300000 temp=60 energy=123456 mig=0 fail=temperature code=15 pids=11,12
     mig slices=3 used=1024 total=2048 pids=13
     mig slices=7 compute=2 home=1 pids=14          a compute instance of 2 slices in the GPU instance 1, which has 7
     gpu pids=900 mps=11,12                         the MPS server (pids from 900) and its clients
   `fail` names a call (utilization memory power temperature energy processes mps uuid name handle) that answers `code`; `hang` and
   `crash` are calls too: any other word is the name of a call that fails. -DWITHOUT_PROCESSES leaves a needed function out, -DOLD the
   functions that drivers before 570 do not have.                                                                                     */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int Return;
typedef void *Device;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } Process;
typedef struct { unsigned multiprocessors, copy, decoder, encoder, jpeg, ofa, gpu_slices, compute_slices; unsigned long long memory_mb; } Attributes;
typedef struct { unsigned version; int sensor; int temperature; } TemperatureV;

enum { INVALID = 2, NOT_FOUND = 6, TOO_SMALL = 7, MOST = 64 };

static struct Unit {
    int gpu, parent, mig, code, count, clients;
    unsigned util, power, temp, slices, compute, home;
    unsigned long long used, total, energy;
    char fail[32];
    unsigned pids[32], mps[32];
} units[MOST];
static int known;

static unsigned long long number(const char *line, const char *key, unsigned long long otherwise) {
    const char *at = strstr(line, key);
    return at ? strtoull(at + strlen(key), NULL, 10) : otherwise;
}

static void load(void) {
    const char *path = getenv("NVML_STUB");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[512];
    int last_gpu = -1;
    known = 0;
    while (file && known < MOST && fgets(line, sizeof line, file)) {
        if (strncmp(line, "gpu", 3) && strncmp(line, "mig", 3)) continue;
        struct Unit *unit = &units[known];
        memset(unit, 0, sizeof *unit);
        unit->gpu = line[0] == 'g';
        if (unit->gpu) last_gpu = known;
        unit->parent = last_gpu;
        unit->mig = number(line, " mig=", 0);
        unit->util = number(line, " util=", 0);
        unit->used = number(line, " used=", 0);
        unit->total = number(line, " total=", 0);
        unit->power = number(line, " power=", 0);
        unit->temp = number(line, " temp=", 0);
        unit->energy = number(line, " energy=", 0);
        unit->slices = number(line, " slices=", 0);
        unit->compute = number(line, " compute=", unit->slices);
        unit->home = number(line, " home=", known);
        unit->code = number(line, " code=", 999);
        const char *at = strstr(line, " fail=");
        if (at) sscanf(at + 6, "%31s", unit->fail);
        for (at = strstr(line, " pids="); at && unit->count < 32; at = strchr(at + 1, ',')) {
            unsigned pid = strtoul(at + (unit->count ? 1 : 6), NULL, 10);
            if (pid) unit->pids[unit->count++] = pid;
        }
        for (at = strstr(line, " mps="); at && unit->clients < 32; at = strchr(at + 1, ',')) {
            unsigned pid = strtoul(at + (unit->clients ? 1 : 5), NULL, 10);
            if (pid) unit->mps[unit->clients++] = pid;
        }
        known++;
    }
    if (file) fclose(file);
}

static struct Unit *unit_of(Device device) {
    load();
    long at = (long)device - 1;
    return at >= 0 && at < known ? &units[at] : NULL;
}

static Return check(struct Unit *unit, const char *call) {
    if (!unit) return INVALID;
    if (!strcmp(unit->fail, "hang")) pause();
    if (!strcmp(unit->fail, "crash")) abort();
    return strcmp(unit->fail, call) ? 0 : unit->code;
}
#define UNIT(call) struct Unit *unit = unit_of(device); Return wrong = check(unit, call); if (wrong) return wrong

/* the n-th unit for which `wanted` holds, as a handle */
static Device nth(int n, int gpus, int parent) {
    for (int at = 0; at < known; at++)
        if (units[at].gpu == gpus && (gpus || units[at].parent == parent) && n-- == 0) return (Device)(long)(at + 1);
    return NULL;
}

Return nvmlInitWithFlags(unsigned flags) { (void)flags; load(); return known ? 0 : 9; /* driver not loaded */ }
Return nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
Return nvmlShutdown(void) { return 0; }
Return nvmlSystemGetDriverVersion(char *text, unsigned size) { snprintf(text, size, "580.95.05"); return 0; }
Return nvmlDeviceGetCount_v2(unsigned *count) { load(); *count = 0; for (int at = 0; at < known; at++) *count += units[at].gpu; return 0; }
Return nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *handle) {
    load();
    Device device = nth(index, 1, 0);
    UNIT("handle");
    *handle = device;
    return 0;
}
Return nvmlDeviceGetName(Device device, char *text, unsigned size) { UNIT("name"); snprintf(text, size, "NVIDIA H100 80GB HBM3"); return 0; }
Return nvmlDeviceGetUUID(Device device, char *text, unsigned size) {
    UNIT("uuid");
    snprintf(text, size, "%s-00000000-0000-0000-0000-%012ld", unit->gpu ? "GPU" : "MIG", (long)device - 1);
    return 0;
}
Return nvmlDeviceGetUtilizationRates(Device device, Utilization *out) {
    UNIT("utilization");
    if (!unit->gpu) return 3;
    out->gpu = unit->util;
    out->memory = 0;
    return 0;
}
Return nvmlDeviceGetMemoryInfo(Device device, Memory *out) {
    UNIT("memory");
    out->total = unit->total;
    out->used = unit->used;
    out->free = unit->total - unit->used;
    return 0;
}
#ifndef OLD
Return nvmlDeviceGetMemoryInfo_v2(Device device, MemoryV2 *out) {
    UNIT("memory");
    out->total = unit->total;
    out->used = unit->used;
    out->free = unit->total - unit->used;
    out->reserved = 0;
    return 0;
}
Return nvmlDeviceGetTemperatureV(Device device, TemperatureV *out) { UNIT("temperature"); out->temperature = unit->temp; return 0; }
Return nvmlDeviceGetTotalEnergyConsumption(Device device, unsigned long long *out) { UNIT("energy"); *out = unit->energy; return 0; }
#endif
Return nvmlDeviceGetTemperature(Device device, int sensor, unsigned *out) { (void)sensor; UNIT("temperature"); *out = unit->temp; return 0; }
Return nvmlDeviceGetPowerUsage(Device device, unsigned *out) { UNIT("power"); *out = unit->power; return 0; }
Return nvmlDeviceGetMigMode(Device device, unsigned *now, unsigned *next) { UNIT("mig"); *now = *next = unit->mig; return 0; }
Return nvmlDeviceGetMaxMigDeviceCount(Device device, unsigned *count) { UNIT("mig"); *count = 7; return 0; }
Return nvmlDeviceGetMigDeviceHandleByIndex(Device device, unsigned index, Device *handle) {
    UNIT("mig");
    *handle = nth(index, 0, (long)device - 1);
    return *handle ? 0 : NOT_FOUND;
}
Return nvmlDeviceGetGpuInstanceId(Device device, unsigned *id) { UNIT("mig"); *id = unit->home; return 0; }
Return nvmlDeviceGetAttributes_v2(Device device, Attributes *out) {
    UNIT("mig");
    memset(out, 0, sizeof *out);
    out->gpu_slices = unit->slices;
    out->compute_slices = unit->compute;
    return 0;
}
#ifndef WITHOUT_PROCESSES
static Return list(struct Unit *unit, const unsigned *pids, unsigned there, unsigned *count, Process *out) {
    unsigned room = *count;
    *count = there;
    if (!there) return 0;
    if (room < there) return TOO_SMALL;
    for (unsigned at = 0; at < there; at++) {
        out[at].pid = pids[at];
        out[at].used = unit->used / there;
        out[at].gpu_instance = out[at].compute_instance = 0xffffffff;
    }
    return 0;
}
Return nvmlDeviceGetComputeRunningProcesses_v3(Device device, unsigned *count, Process *out) {
    UNIT("processes");
    return list(unit, unit->pids, unit->count, count, out);
}
#ifndef OLD
Return nvmlDeviceGetMPSComputeRunningProcesses_v3(Device device, unsigned *count, Process *out) {
    UNIT("mps");
    return list(unit, unit->mps, unit->clients, count, out);
}
Return nvmlSystemGetProcessName(unsigned pid, char *text, unsigned size) {
    snprintf(text, size, pid < 900 ? "/usr/bin/python3" : "/usr/bin/nvidia-cuda-mps-server");
    return 0;
}
#endif
#endif
const char *nvmlErrorString(Return code) { return code == 15 ? "GPU is lost" : "stub"; }
