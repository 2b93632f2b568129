#!/usr/bin/env bash
# Runs one real OpenSearch node on 127.0.0.1, in the foreground: start.sh DATA_DIR HTTP_PORT [setting=value ...]
# Ready when GET http://127.0.0.1:HTTP_PORT/_cluster/health answers 200. SIGTERM stops it cleanly.
# The log goes to standard output.
# Environment:
#   HEAP              heap of the server (default 512m)
#   LOG_LEVEL         level of the root logger (default warn)
#   RESOLVE_ONLY=1    fetch and compile what is missing, then exit
#   and those of ../java.sh
# The process that this script becomes is killed when the process that started it dies.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's:.*<opensearch.version>\(.*\)</opensearch.version>.*:\1:p' "$here/pom.xml")
source "$here/../java.sh"
os=$cache/opensearch-$version

exec 9> "$cache/opensearch-$version.lock"
flock 9
if [ ! -f "$os/.complete" ]; then
  need_disk 400
  fetch_note "OpenSearch $version (149 jars, Maven org.opensearch)" "102 MB"
  rm -rf "$os"
  mkdir -p "$os"
  mvn -q -B -f "$here/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$os/lib" > "$os/mvn.log" 2>&1 || { cat "$os/mvn.log" >&2; exit 1; }
  compile_java "$os/classes" "$os/lib" "$here/OpenSearchServer.java"
  touch "$os/.complete"
elif [ "$here/OpenSearchServer.java" -nt "$os/.complete" ]; then
  compile_java "$os/classes" "$os/lib" "$here/OpenSearchServer.java"
  touch "$os/.complete"
fi
exec 9>&-
[ -z "${RESOLVE_ONLY:-}" ] || exit 0

if [ $# -lt 2 ]; then echo "usage: start.sh DATA_DIR HTTP_PORT [setting=value ...]" >&2; exit 2; fi
mkdir -p "$1/tmp"
dir=$(cd "$1" && pwd)
port=$2
shift 2
heap=${HEAP:-512m}
exec setpriv --pdeathsig KILL -- \
  "$java" -Xms"$heap" -Xmx"$heap" -Xss1m -XX:+UseG1GC -XX:-OmitStackTraceInFastThrow \
  -Djava.io.tmpdir="$dir/tmp" -Djava.awt.headless=true -Dfile.encoding=UTF-8 -Dserver.log.level="${LOG_LEVEL:-warn}" \
  -Dio.netty.noUnsafe=true -Dio.netty.noKeySetOptimization=true -Dio.netty.recycler.maxCapacityPerThread=0 \
  -Dlog4j.shutdownHookEnabled=false -Dlog4j2.disable.jmx=true -Dlog4j2.formatMsgNoLookups=true \
  --enable-native-access=ALL-UNNAMED "${java_options[@]}" \
  -cp "$os/classes:$os/lib/*" OpenSearchServer "$dir" "$port" "$@"
