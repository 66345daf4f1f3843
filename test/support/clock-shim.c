/*
 * For LD_PRELOAD: shifts the wall clock of one process by the milliseconds that are first in a mapped file at that
 * moment, and holds its monotonic clock back by those that come second, as if it had stood still for so long. It asks the kernel itself, since looking up the function that it stands in
 * for may need memory, and an allocator may ask for the time while it is being set up.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct shifts {
  int64_t ahead_ms;
  int64_t stood_still_ms;
};

static const volatile struct shifts unshifted = {0, 0};
static const volatile struct shifts *shifts = &unshifted;

__attribute__((constructor)) static void map_shift(void) {
  const char *path = getenv("CONCLAVE_TEST_CLOCK");
  int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  void *mapped = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct shifts), PROT_READ, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) {
    perror("clock-shim: CONCLAVE_TEST_CLOCK");
    _exit(97);
  }
  close(file);
  shifts = mapped;
}

static int64_t shift_ms_of(clockid_t clock) {
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
      return shifts->ahead_ms;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
      return -shifts->stood_still_ms;
    default:
      return 0;
  }
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int failed = (int)syscall(SYS_clock_gettime, clock, now);
  int64_t shift_ms = failed == 0 ? shift_ms_of(clock) : 0;
  if (shift_ms == 0) return failed;
  int64_t ns = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec + shift_ms * 1000000;
  now->tv_sec = ns / 1000000000;
  now->tv_nsec = ns % 1000000000;
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec time;
  if (clock_gettime(CLOCK_REALTIME, &time) != 0) return -1;
  now->tv_sec = time.tv_sec;
  now->tv_usec = time.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *now) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  if (now != NULL) *now = time.tv_sec;
  return time.tv_sec;
}
