// Loaded with LD_PRELOAD. The wall clock is off by SKEW_SECONDS. SKEW_FILE, if given, holds two more numbers of seconds (64 bits
// each, of this machine), for the wall clock and for the monotonic one; they may change while the program runs.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *steps;
static time_t fixed;

__attribute__((constructor)) static void begin(void) {
  const char *seconds = getenv("SKEW_SECONDS"), *path = getenv("SKEW_FILE");
  if (seconds) fixed = atol(seconds);
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *mapped = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) steps = mapped;
  close(file);
}

static time_t wall(void) { return fixed + (steps ? steps[0] : 0); }

int clock_gettime(clockid_t clock, struct timespec *now) {
  int failed = syscall(SYS_clock_gettime, clock, now);
  if (failed) return failed;
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += wall();
  if ((clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_BOOTTIME) && steps) now->tv_sec += steps[1];
  return 0;
}

int gettimeofday(struct timeval *now, void *zone) {
  int failed = syscall(SYS_gettimeofday, now, zone);
  if (!failed) now->tv_sec += wall();
  return failed;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
