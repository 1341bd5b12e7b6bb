#!/usr/bin/env bash
# Installs authsome.
#
#   install.sh                    the archive or checkout that this script lies in (a checkout is built)
#   install.sh FILE.tar.gz        a released archive, after its checksum in SHA256SUMS beside it is verified
#   install.sh --uninstall        removes what was installed; connections and settings stay
#
#   --prefix DIR                  where to; without: ~/.local, or /usr/local as root
#
# Everything is made ready below the prefix first and then renamed into place, the program last: what
# fails on the way leaves what was there before. Nothing is downloaded.
[ -n "${BASH_VERSION-}" ] || exec bash "$0" "$@" # for those who type `sh install.sh`
set -euo pipefail
umask 022

say() { printf '%s\n' "$*"; }
die() { printf 'install: %s\n' "$1" >&2; [ $# -lt 2 ] || printf 'install: hint: %s\n' "$2" >&2; exit 1; }
usage() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p;}' "$0"; }

here=$(cd "$(dirname "$0")" && pwd)
uid=$(id -u)
if [ "$uid" = 0 ]; then prefix=/usr/local; else prefix=$HOME/.local; fi
archive='' uninstall=''
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) [ $# -gt 1 ] || die "--prefix needs a directory"; prefix=$2; shift ;;
    --prefix=*) prefix=${1#*=} ;;
    --uninstall) uninstall=yes ;;
    -h | --help) usage; exit 0 ;;
    -*) die "what is $1?" "install.sh --help" ;;
    *) [ -z "$archive" ] || die "one archive at a time"; archive=$1 ;;
  esac
  shift
done
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac

# Of what is installed, by path below the prefix. Not in share/authsome: below ~/.local, that is the
# user's own, with their vault.
list=share/doc/authsome/installed
setting=/proc/sys/kernel/apparmor_restrict_unprivileged_userns
profile=/etc/apparmor.d/authsome

sha256() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }

verify() {
  local file=$1 name sums expected
  name=$(basename "$file")
  sums=$(dirname "$file")/SHA256SUMS
  [ -r "$file" ] || die "cannot read $file"
  [ -r "$sums" ] || die "there is no SHA256SUMS beside $file" "download it from where the archive is from"
  expected=$(awk -v name="$name" '$2 == name || $2 == "*" name { print $1; exit }' "$sums")
  [ -n "$expected" ] || die "SHA256SUMS says nothing of $name"
  [ "$(sha256 "$file")" = "$expected" ] || die "$name is not the file that SHA256SUMS names" "download both again"
}

# Leaves in $tree what to install, laid out as below a prefix.
find_tree() {
  if [ -n "$archive" ]; then
    verify "$archive"
    mkdir "$work/archive"
    tar -xzf "$archive" -C "$work/archive" --no-same-owner
    tree=$(echo "$work"/archive/*)
    [ -f "$tree/bin/authsome" ] || die "$archive is no archive of authsome"
  elif [ -f "$here/bin/authsome" ]; then
    tree=$here
  elif [ -f "$here/../Cargo.toml" ] && [ -x "$here/stage" ]; then
    command -v cargo >/dev/null || die "building takes Rust, and there is no cargo" "https://rustup.rs"
    (cd "$here/.." && cargo build --release --locked --bin authsome)
    tree=$work/tree
    "$here/stage" "${CARGO_TARGET_DIR:-$here/../target}/release/authsome" "$tree"
  else
    die "there is nothing here to install" "install.sh FILE.tar.gz"
  fi
}

install_tree() {
  mkdir -p "$prefix" 2>/dev/null || true
  [ -w "$prefix" ] || die "cannot write to $prefix" "use --prefix, or sudo"
  work=$(mktemp -d "$prefix/.authsome-install.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  find_tree

  local stage=$work/stage file
  mkdir "$stage"
  cp -R "$tree/bin" "$tree/share" "$stage/"
  for file in share/systemd/user/authsome.service share/doc/authsome/apparmor; do
    # A path with these characters would be read as something else in those files.
    case $prefix in *[!A-Za-z0-9/._+-]*) rm "$stage/$file"; continue ;; esac
    sed "s|@bindir@|$prefix/bin|" "$tree/$file" >"$stage/$file"
  done
  version=$("$stage/bin/authsome" --version) || die "this authsome cannot run on this machine ($(uname -sm))"
  (cd "$stage" && find bin share -type f | sort -r) >"$work/files"
  cp "$work/files" "$stage/$list"

  if [ -f "$prefix/$list" ]; then
    grep -vxFf "$work/files" "$prefix/$list" >"$work/gone" || true
  fi
  # The list before all else, so that whatever is there can be removed; "bin" comes last.
  for file in "$list" $(cat "$work/files"); do
    mkdir -p "$prefix/$(dirname "$file")"
    mv -f "$stage/$file" "$prefix/$file"
  done
  # What an earlier version had and this one has not.
  [ ! -f "$work/gone" ] || delete "$work/gone"
}

# Deletes the files below the prefix that are in a list.
delete() {
  local file
  while IFS= read -r file; do
    case /$file/ in */../*) die "$1 is not the list that was written" ;; esac
    rm -f "$prefix/$file"
    # Directories that are empty then.
    (cd "$prefix" && rmdir -p "$(dirname "$file")" 2>/dev/null) || true
  done <"$1"
}

# What AppArmor has to be told, if it keeps users from making namespaces.
apparmor() {
  [ "$(cat "$setting" 2>/dev/null)" = 1 ] || return 0
  local source=$prefix/share/doc/authsome/apparmor
  if [ ! -f "$source" ]; then
    say "AppArmor forbids namespaces here, and no profile can name this prefix: use another, or sudo authsome run."
  elif [ "$uid" = 0 ]; then
    if install -m 644 "$source" "$profile" && apparmor_parser -r "$profile"; then
      say "AppArmor lets it make namespaces: $profile"
    else
      say "AppArmor forbids namespaces here, and did not take $source: use sudo authsome run."
    fi
  elif ! cmp -s "$source" "$profile"; then
    say "AppArmor forbids namespaces here until it knows the program:"
    say "  sudo sh -c 'install -m 644 $source $profile && apparmor_parser -r $profile'"
  fi
}

advise() {
  local found
  case :$PATH: in
    *:"$prefix/bin":*)
      found=$(command -v authsome || true)
      [ "$found" = "$prefix/bin/authsome" ] || say "Another one comes first in your PATH: $found"
      ;;
    *) say "It is not in your PATH yet:"; say "  export PATH=\"$prefix/bin:\$PATH\"" ;;
  esac
  case ${SHELL-}:$prefix in
    */zsh:/usr/local) ;;
    */zsh:*) say "Completions of zsh are in $prefix/share/zsh/site-functions: add it to fpath." ;;
  esac
}

remove() {
  [ -f "$prefix/$list" ] || die "authsome is not installed in $prefix" "use --prefix"
  if [ "$uid" != 0 ]; then
    systemctl --user disable --now authsome.service >/dev/null 2>&1 || true
    "$prefix/bin/authsome" daemon stop >/dev/null 2>&1 || true
    ! grep -qsF "$prefix/bin/authsome" "$profile" || say "AppArmor's profile is root's to remove: sudo rm $profile"
  elif grep -qsF "$prefix/bin/authsome" "$profile"; then
    apparmor_parser -R "$profile" || true
    rm -f "$profile"
  fi
  echo "$list" >>"$prefix/$list"
  delete "$prefix/$list"
  say "Removed authsome from $prefix. Connections and settings are still in ~/.local/share/authsome."
}

if [ -n "$uninstall" ]; then
  remove
else
  install_tree
  say "Installed $version in $prefix."
  apparmor
  advise
  say "Next: authsome login PROVIDER, then authsome run -- AGENT. authsome doctor checks this machine."
fi
