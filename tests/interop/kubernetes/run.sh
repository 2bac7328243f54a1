#!/bin/bash
# run.sh DIRECTORY CONSUL_K8S: the programs of consul-k8s (sources in CONSUL_K8S, built binary `consul-k8s-control-plane` on
# PATH, as `kube-apiserver`, `etcd`, `kubectl`) against a meshagent server, all on loopback. See README.md.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && cd "$1" && dir=$PWD
sources=$(cd "$OLDPWD" && cd "$2" && pwd)
export KUBECONFIG=$dir/kubeconfig
bg() { local name=$1; shift; "$@" > "$name.log" 2>&1 & echo $! >> pids; }
trap 'xargs -r kill < "$dir/pids" 2> /dev/null || true' EXIT
: > pids

# --- Kubernetes: etcd, the API server, nobody else ---
openssl genrsa -out sa.key 2048 2> /dev/null
openssl rsa -in sa.key -pubout -out sa.pub 2> /dev/null
echo 'admin,admin,admin,"system:masters"' > tokens.csv
bg etcd etcd --data-dir etcd --listen-client-urls http://127.0.0.1:23790 --advertise-client-urls http://127.0.0.1:23790 \
  --listen-peer-urls http://127.0.0.1:23800 --initial-advertise-peer-urls http://127.0.0.1:23800 \
  --initial-cluster default=http://127.0.0.1:23800
bg apiserver kube-apiserver --etcd-servers http://127.0.0.1:23790 --secure-port 26443 --bind-address 127.0.0.1 \
  --cert-dir certs --service-cluster-ip-range 10.96.0.0/16 --service-account-key-file sa.pub \
  --service-account-signing-key-file sa.key --service-account-issuer https://kubernetes.default.svc \
  --token-auth-file tokens.csv --authorization-mode RBAC --allow-privileged
cat > kubeconfig <<Y
apiVersion: v1
kind: Config
clusters: [{name: k, cluster: {server: "https://127.0.0.1:26443", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: admin}}]
contexts: [{name: k, context: {cluster: k, user: admin}}]
current-context: k
Y
until kubectl get --raw /readyz > /dev/null 2>&1; do sleep 1; done

# --- a server with ACLs on, and the recorder before it ---
cat > server.hcl <<'Y'
server = true
bootstrap_expect = 1
bind_addr = "127.0.0.1"
client_addr = "127.0.0.1"
node_name = "server-0"
ports { http = 28500 grpc = 28502 grpc_tls = 28503 dns = 28600 serf_lan = 28301 serf_wan = 28302 server = 28300 }
acl { enabled = true default_policy = "deny" }
Y
bg server meshagent agent -config-file server.hcl -data-dir data
bg recorder python3 "$here/recorder.py" listen 28510 28500 "$dir/calls.jsonl"
until curl -sf 127.0.0.1:28500/v1/status/leader | grep -q :; do sleep 1; done

# --- what the Helm chart would create: custom resources, accounts, a certificate for the webhook ---
kubectl apply -f "$sources/control-plane/config/crd/bases/" > /dev/null
for file in "$sources"/control-plane/config/crd/external/*.k8s.io.yaml; do kubectl apply -f "$file" > /dev/null; done
kubectl create namespace consul
for name in auth-method connect-injector sync-catalog; do
  kubectl -n consul create serviceaccount "rel-consul-$name"
  kubectl create clusterrolebinding "$name" --clusterrole cluster-admin --serviceaccount "consul:rel-consul-$name"
  kubectl -n consul create token "rel-consul-$name" --duration 24h > "$name.jwt"
done
kubectl apply -f - <<Y
apiVersion: v1
kind: Secret
metadata: {name: rel-consul-auth-method, namespace: consul, annotations: {kubernetes.io/service-account.name: rel-consul-auth-method}}
type: kubernetes.io/service-account-token
data: {ca.crt: $(base64 -w0 certs/apiserver.crt), token: $(tr -d '\n' < auth-method.jwt | base64 -w0), namespace: Y29uc3Vs}
Y
mkdir -p webhook account/kubernetes.io/serviceaccount
openssl req -x509 -newkey rsa:2048 -nodes -keyout webhook/tls.key -out webhook/tls.crt -days 10 -subj /CN=webhook \
  -addext subjectAltName=IP:127.0.0.1 2> /dev/null
tr -d '\n' < connect-injector.jwt > account/kubernetes.io/serviceaccount/token
cp certs/apiserver.crt account/kubernetes.io/serviceaccount/ca.crt
printf consul > account/kubernetes.io/serviceaccount/namespace
kubectl apply -f - <<Y
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: rel-consul-connect-injector}
webhooks:
- name: pods.consul.hashicorp.com
  clientConfig: {url: "https://127.0.0.1:28080/mutate", caBundle: $(base64 -w0 webhook/tls.crt)}
  admissionReviewVersions: [v1]
  sideEffects: None
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: default}}
Y

# --- the programs ---
to_server=(-addresses 127.0.0.1 -grpc-port 28502 -http-port 28510 -api-timeout 5s)
component=(-auth-method-name rel-consul-k8s-component-auth-method)
consul-k8s-control-plane server-acl-init -kubeconfig kubeconfig "${to_server[@]}" -resource-prefix rel-consul \
  -k8s-namespace consul -set-server-tokens=true -client=true -connect-inject=true -sync-catalog=true -mesh-gateway=true \
  -ingress-gateway-name=ig -terminating-gateway-name=tg -allow-dns=true -create-acl-replication-token=true \
  -auth-method-host https://127.0.0.1:26443 -timeout=60s -enable-peering=true -sync-consul-node-name=k8s-sync \
  -federation=true -dns-proxy=true -secrets-backend=kubernetes
mkdir -p /run/secrets # a mount point, in a mount namespace of its own
KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT=26443 bg inject \
  unshare -m --propagation private bash -c 'mount --bind account /run/secrets && exec "$@"' inject \
  consul-k8s-control-plane inject-connect "${to_server[@]}" "${component[@]}" -config-file none.json \
  -consul-login-bearer-token-file connect-injector.jwt -consul-image consul -consul-dataplane-image consul-dataplane \
  -consul-k8s-image consul-k8s -release-name rel -release-namespace consul -resource-prefix rel-consul \
  -listen 127.0.0.1:28080 -default-enable-transparent-proxy=true -enable-peering=true -enable-consul-dns=true \
  -default-enable-metrics=true -acl-auth-method rel-consul-k8s-auth-method '-allow-k8s-namespace=*' \
  -tls-cert-dir webhook -default-enable-sidecar-proxy-lifecycle=true -datacenter dc1
until curl -sko /dev/null https://127.0.0.1:28080/; do sleep 1; done

# --- kubelet's and the controller manager's part: the status of a pod, its endpoints ---
pod() { # NAMESPACE NAME SERVICE IP PORT READY
  local list=addresses; [ "$6" = True ] || list=notReadyAddresses
  kubectl -n "$1" patch pod "$2" --subresource=status --type merge -p "{\"status\":{\"phase\":\"Running\",\"podIP\":\"$4\",
    \"podIPs\":[{\"ip\":\"$4\"}],\"hostIP\":\"198.51.100.9\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"$6\"}]}}" > /dev/null
  kubectl -n "$1" apply -f - 2> /dev/null <<Y
{"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "$3"}, "subsets": [{"ports": [{"port": $5}],
 "$list": [{"ip": "$4", "nodeName": "k1", "targetRef": {"kind": "Pod", "name": "$2", "namespace": "$1"}}]}]}
Y
}
kubectl apply -f "$here/pods.yaml"
for ready in True False True; do
  pod default web-1 web 198.51.100.2 8080 "$ready"
  pod default api-1 api 198.51.100.3 8081 "$ready"
  sleep 5
done
openssl req -x509 -newkey rsa:2048 -nodes -keyout gw.key -out gw.crt -days 10 -subj /CN=www.example.com 2> /dev/null
sed "s|@CRT@|$(base64 -w0 gw.crt)|; s|@KEY@|$(base64 -w0 gw.key)|" "$here/resources.yaml" | kubectl apply -f -
kubectl patch svc lb --subresource=status --type merge -p '{"status":{"loadBalancer":{"ingress":[{"ip":"198.51.100.50"}]}}}'
kubectl create token web --duration 24h | tr -d '\n' > web.jwt
consul-k8s-control-plane connect-init "${to_server[@]}" -pod-name web-1 -pod-namespace default -service-account-name web \
  -consul-node-name k1-virtual -auth-method-name rel-consul-k8s-auth-method -consul-login-bearer-token-file web.jwt \
  -consul-login-meta pod=default/web-1 -proxy-id-file proxy-id
echo "proxy: $(cat proxy-id)"
timeout 30 consul-k8s-control-plane sync-catalog -kubeconfig kubeconfig "${to_server[@]}" "${component[@]}" \
  -consul-login-bearer-token-file sync-catalog.jwt -k8s-default-sync=true -consul-domain consul '-allow-k8s-namespace=*' \
  -k8s-write-namespace default -node-port-sync-type ExternalFirst -consul-node-name k8s-sync \
  -consul-write-interval 2s -listen 127.0.0.1:28081 -enable-metrics=false -to-consul -to-k8s > sync.log 2>&1 || true
for kind in proxydefaults servicedefaults serviceresolvers servicesplitters servicerouters serviceintentions meshes \
  ingressgateways terminatinggateways exportedservices jwtproviders registrations peeringacceptors; do
  kubectl get "$kind.consul.hashicorp.com" -o jsonpath="{range .items[*]}$kind {.metadata.name} {.status.conditions[0].type}={.status.conditions[0].status} {.status.conditions[0].message}{'\n'}{end}"
done
kubectl delete endpoints api
kubectl delete svc api
kubectl delete pod api-1 --force --grace-period 0
kubectl delete registrations.consul.hashicorp.com ext
kubectl delete serviceintentions web-to-api
sleep 5
echo "recorded: $(wc -l < calls.jsonl) calls in $dir/calls.jsonl"
