#include "observe.h"

#include "options.h"
#include "process.h"
#include "profile.h"
#include "profile_text.h"
#include "server.h"
#include "snapshot.h"
#include "stats.h"

#include <unistd.h>

/* Programs close standard error before the report is due: it goes to a copy.  Where a
 * program has closed that one, standard error itself will do if it is the same file. */
static struct pym_descriptor report_to = PYM_NO_DESCRIPTOR;
static bool is_kept;

static void keep_standard_error(void)
{
    pym_process_keep_copy(&report_to, STDERR_FILENO);
    is_kept = true;
}

static bool can_report(void)
{
    if (!is_kept) { /* the option was set while the program ran */
        keep_standard_error();
    } else if (!pym_process_is_ours(&report_to)) {
        report_to.fd = STDERR_FILENO;
    }
    return pym_process_is_ours(&report_to);
}

static void write_to(int fd)
{
    if (PYM_OPTION(stats) == PYM_REPORT_JSON) {
        (void)pym_snapshot_write(fd, PYMALLOC_JSON_MAP, NULL);
    } else {
        pym_stats_report(fd);
    }
}

static unsigned reports; /* written so far */

static void write_stats(void)
{
    const char *file = PYM_OPTION_TEXT_OF(stats_file);
    int fd = file != NULL ? pym_process_create(file, reports) : -1;
    if (fd >= 0) {
        write_to(fd);
        pym_process_close(fd);
    } else if (file == NULL && can_report()) {
        write_to(report_to.fd);
    }
}

static void write_profile(const char *reason)
{
    const char *file = PYM_OPTION_TEXT_OF(profile_file);
    int fd = pym_process_create(file != NULL ? file : "pymalloc.%p.%n.heap", reports);
    if (fd >= 0) {
        (void)pym_profile_write(fd, reason);
        pym_process_close(fd);
    }
}

/* A signal asks for all there is to report. */
static void write_reports(void)
{
    reports++;
    if (PYM_OPTION(stats) != 0 || pym_profile_interval == 0) {
        write_stats();
    }
    if (pym_profile_interval != 0) {
        write_profile("signal");
    }
}

static bool is_reporting(void)
{
    return PYM_OPTION(stats) != 0 || PYM_OPTION(signal) != 0;
}

void pym_observe_start(void)
{
    if (is_reporting() && PYM_OPTION_TEXT_OF(stats_file) == NULL) {
        keep_standard_error();
    }
    pym_server_start(write_reports);
}

void pym_observe_finish(void)
{
    reports++;
    if (PYM_OPTION(stats) != 0) {
        write_stats();
    }
    if (pym_profile_interval != 0) {
        write_profile("exit");
    }
}

void pym_observe_after_fork(void)
{
    pym_server_after_fork();
}
