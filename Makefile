# For people: each target is a line or two of cmake, ctest or a script. `make` builds what production
# runs, with the programs in build/bin.

SOURCES = git ls-files '*.c' '*.h'

.PHONY: all deb dev test asan tsan fuzz bench fmt lint check clean
all: release-configured
	@cmake --build --preset release

# Debian packages of the client and of the broker, in build/.
deb: all
	@cd build && cpack --config release/CPackConfig.cmake >deb.log || { cat deb.log; exit 1; }
	@ls build/*.deb

%-configured:
	@mkdir -p build
	@cmake --preset $* >build/$*.log 2>&1 || { cat build/$*.log >&2; exit 1; }

dev: dev-configured
	@cmake --build --preset dev

test:
	@tests/run

asan:
	@tests/run unit

tsan: tsan-configured
	@cmake --build --preset tsan
	@TSAN_OPTIONS=halt_on_error=1 ctest --test-dir build/tsan --no-tests=error --output-on-failure

# FUZZ=name picks targets, MINUTES=n is how long each runs.
MINUTES ?= 1
fuzz:
	@tests/run fuzz $(FUZZ) --minutes $(MINUTES)

bench: all
	@tests/bench/run

fmt:
	@$(SOURCES) | xargs clang-format -i

# The fuzz preset's commands are clang's, as clang-tidy needs them.
lint: fuzz-configured
	@$(SOURCES) | xargs clang-format --dry-run --Werror
	@tests/check_includes
	@git ls-files '*.c' | xargs -n 1 -P "$$(nproc)" clang-tidy --quiet -p build/fuzz

check:
	@.ci/run

clean:
	@cmake -E rm -rf build/release build/dev build/asan build/tsan build/fuzz build/coverage build/bin
