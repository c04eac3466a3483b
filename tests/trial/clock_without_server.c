/* The kernel's word on the time server, taken from a file: adjtimex says "undisciplined" while the
 * file that $INSPECTOR_TEST_CLOCK names exists. Preloaded by tests/trial/test_fat.py. */
#include <stdlib.h>
#include <sys/timex.h>
#include <unistd.h>

int adjtimex(struct timex *state)
{
    const char *lost = getenv("INSPECTOR_TEST_CLOCK");
    int undisciplined = lost && access(lost, F_OK) == 0;

    state->status = undisciplined ? STA_UNSYNC : 0;
    state->esterror = undisciplined ? 16000000 : 20;
    return undisciplined ? TIME_ERROR : TIME_OK;
}
