#!/usr/bin/env bash
# Install the PyTorch that suits this machine, before pip would take the one with CUDA for every Linux.
#
#   scripts/install_torch.sh PYTHON [cpu|cuda]
#
# Without a second argument an NVIDIA GPU decides, and an installed PyTorch of the locked version stays as it is.
# Where the index of the CPU builds cannot be reached, nothing is installed here and pip goes on with its own index.
# TORCH_CPU_INDEX names another index of CPU builds, DEVICE_FOLDER another place than /dev.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$1 wanted=${2:-}
index=${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}
pip=("$python" -m pip --disable-pip-version-check)
locked() { sed -n "s/^$1==//p" requirements.lock; }
torch=$(locked torch) torchvision=$(locked torchvision)

has_nvidia_gpu() {
  compgen -G "${DEVICE_FOLDER:-/dev}/nvidia[0-9]*" >/dev/null || nvidia-smi -L 2>/dev/null | grep -q '^GPU '
}

# The page of one package, read with one short try: a machine without a way out must not wait for minutes.
index_has_cpu_build() {
  timeout 30 "${pip[@]}" index versions torch --index-url "$index" --timeout 5 --retries 0 2>/dev/null |
    grep -qF "$torch+cpu"
}

# Without dependencies, so that nothing else comes from that index.
install_cpu_build() {
  "${pip[@]}" install -qq --no-deps --force-reinstall --index-url "$index" --retries 1 \
    "torch==$torch+cpu" "torchvision==$torchvision"
}

case $wanted in
  cpu | cuda | '') ;;
  *) echo "TORCH must be cpu or cuda, or be left out; it is '$wanted'" >&2; exit 2 ;;
esac
# Other systems have one build only.
[ "$(uname -s)" = Linux ] || exit 0

installed=$("${pip[@]}" show torch 2>/dev/null | sed -n 's/^Version: //p' || true)
if [ -z "$wanted" ]; then
  if [ -n "$installed" ] && [ "${installed%+cpu}" = "$torch" ]; then exit 0; fi
  if has_nvidia_gpu; then wanted=cuda; else wanted=cpu; fi
fi

if [ "$wanted" = cuda ]; then
  echo "PyTorch with CUDA, for an NVIDIA GPU (TORCH=cpu takes the build without)"
  if [[ $installed == *+cpu ]]; then "${pip[@]}" uninstall -q -y torch torchvision; fi
elif [ "$installed" = "$torch+cpu" ]; then
  exit 0
elif index_has_cpu_build && install_cpu_build; then
  echo "PyTorch for CPUs, without gigabytes of CUDA (TORCH=cuda takes the build for an NVIDIA GPU)"
else
  echo "no CPU build of PyTorch $torch from $index; taking the build of pip's own index, which brings CUDA along"
fi
