{{/* Names, labels and images. Every template takes them from here, and quotes a name that may look like a number or a truth value (123, on). */}}

{{- define "warest.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimAll "-." -}}
{{- end -}}

{{/* Prefix of all names: at most 40 characters, so that no suffix makes a name too long. */}}
{{- define "warest.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "warest.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "warest.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "warest.operator.fullname" -}}{{ include "warest.fullname" . }}-operator{{- end -}}
{{- define "warest.gateway.fullname" -}}{{ include "warest.fullname" . }}-gateway{{- end -}}

{{/* Name of a cluster-wide object: releases in different namespaces do not share one. */}}
{{- define "warest.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "warest.fullname" .) -}}
{{- end -}}

{{/* Labels that never change: what selectors hold. Takes a list of the root and the component. */}}
{{- define "warest.selectorLabels" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ include "warest.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ last . }}
{{- end -}}

{{/* All labels of an object; the chart's own win. Takes a list of the root, the component and, perhaps, more labels. */}}
{{- define "warest.labels" -}}
{{- $root := index . 0 -}}
{{- $own := dict "app.kubernetes.io/part-of" "warest" "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $more := dict -}}
{{- if gt (len .) 2 }}{{ $more = index . 2 }}{{ end -}}
{{- $selector := include "warest.selectorLabels" (list $root (index . 1)) | fromYaml -}}
{{- merge (dict) $selector $own $more $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* Labels of a component's pods: no chart version, which would restart them for nothing. Takes the root, the component, its podLabels. */}}
{{- define "warest.podLabels" -}}
{{- omit (include "warest.labels" . | fromYaml) "helm.sh/chart" "app.kubernetes.io/managed-by" | toYaml -}}
{{- end -}}

{{/* An image's reference. Takes a list of the root and the image's values. */}}
{{- define "warest.image" -}}
{{- $root := first . -}}
{{- $image := last . -}}
{{- $registry := default $root.Values.global.imageRegistry $image.registry -}}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default $root.Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}

{{/* Service accounts. */}}
{{- define "warest.operator.serviceAccount" -}}
{{- $own := .Values.operator.serviceAccount -}}
{{- if $own.create }}{{ default (include "warest.operator.fullname" .) $own.name }}{{ else }}{{ default "default" $own.name }}{{ end -}}
{{- end -}}
{{- define "warest.gateway.serviceAccount" -}}
{{- $own := .Values.gateway.serviceAccount -}}
{{- if $own.create }}{{ default (include "warest.gateway.fullname" .) $own.name }}{{ else }}{{ default "default" $own.name }}{{ end -}}
{{- end -}}

{{/* Secret of the API keys, the names of the settings, the Secret of the operator's key. */}}
{{- define "warest.keysSecret" -}}
{{- default (printf "%s-api-keys" (include "warest.fullname" .)) .Values.gateway.auth.existingSecret -}}
{{- end -}}
{{- define "warest.settingsName" -}}{{ include "warest.fullname" . }}-settings{{- end -}}
{{- define "warest.clusterKeySecret" -}}warest-cluster-key{{- end -}}

{{/* Namespace of the sessions that the gateway makes. */}}
{{- define "warest.sessionsNamespace" -}}
{{- default .Release.Namespace .Values.gateway.sessionsNamespace -}}
{{- end -}}

{{/* Where the gateway's rights go beyond its sessions' namespace: a JSON list. */}}
{{- define "warest.gateway.otherNamespaces" -}}
{{- without (uniq .Values.gateway.watchNamespaces) (include "warest.sessionsNamespace" .) | toJson -}}
{{- end -}}

{{/* The parts of a pod that both components have. Takes a list of the root, the component's values and its name. */}}
{{- define "warest.pod" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
{{- $component := index . 2 -}}
# Its rights come with the token: see the roles.
automountServiceAccountToken: true
enableServiceLinks: false
{{- with $root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationGracePeriodSeconds: {{ int $own.terminationGracePeriodSeconds }}
{{- with $own.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{- toYaml . | nindent 4 }}
    {{- if not (hasKey . "labelSelector") }}
    labelSelector:
      matchLabels:
        {{- include "warest.selectorLabels" (list $root $component) | nindent 8 }}
    {{- end }}
  {{- end }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- with $own.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The end of a container that both components have. Takes the component's values. */}}
{{- define "warest.container" -}}
{{- with .resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- with .extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Probes on the port named http. Takes the paths of liveness and readiness. */}}
{{- define "warest.probes" -}}
startupProbe:
  httpGet: {path: {{ first . }}, port: http}
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: {path: {{ first . }}, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: {{ last . }}, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end -}}

{{/* The address that both components listen on, with brackets if it needs them before a port. */}}
{{- define "warest.listen" -}}
{{- if contains ":" .Values.listenAddress }}[{{ .Values.listenAddress }}]{{ else }}{{ .Values.listenAddress }}{{ end -}}
{{- end -}}

{{/* Egress that both components need: names, and the API server. */}}
{{- define "warest.egress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
- ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - {port: {{ int . }}, protocol: TCP}
    {{- end }}
  {{- with .Values.networkPolicy.apiServer.cidrs }}
  to:
    {{- range . }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- end }}
  {{- end }}
# The sessions, in whatever namespace.
- ports:
    - {port: 8080, protocol: TCP}
  to:
    - namespaceSelector: {}
      podSelector:
        matchLabels:
          app.kubernetes.io/name: whatsapp-session
{{- end -}}

{{/* What cannot be, said before anything is made. */}}
{{- define "warest.validate" -}}
{{- $values := .Values -}}
{{- $sessions := include "warest.sessionsNamespace" . -}}
{{- if and $values.operator.enabled $values.gateway.enabled $values.watchNamespaces (not (has $sessions $values.watchNamespaces)) -}}
{{- fail (printf "watchNamespaces does not name %q, where the gateway makes its sessions: no operator would run them. Add it, or set gateway.sessionsNamespace to one of %s." $sessions (join ", " $values.watchNamespaces)) -}}
{{- end -}}
{{- $auth := $values.gateway.auth -}}
{{- if and $auth.existingSecret (or $auth.adminKey.secretName $auth.userKeys.secretName) -}}
{{- fail "gateway.auth.existingSecret and gateway.auth.adminKey/userKeys exclude each other: the keys are either in a watched Secret or in the environment." -}}
{{- end -}}
{{- if and $auth.userKeys.secretName (not $auth.adminKey.secretName) -}}
{{- fail "gateway.auth.userKeys needs gateway.auth.adminKey: without an admin's key nobody could manage the sessions." -}}
{{- end -}}
{{- if and $values.gateway.redis.url $values.gateway.redis.existingSecret.name -}}
{{- fail "gateway.redis.url and gateway.redis.existingSecret.name exclude each other." -}}
{{- end -}}
{{- $drain := int $values.gateway.drainSeconds -}}
{{- if and $drain (gt (add $drain 5) (int $values.gateway.terminationGracePeriodSeconds)) -}}
{{- fail (printf "gateway.drainSeconds (%d) leaves nothing of gateway.terminationGracePeriodSeconds (%d): requests under way would be cut off. Leave at least 5 seconds." $drain (int $values.gateway.terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- if and $values.gateway.httpRoute.enabled (not $values.gateway.httpRoute.parentRefs) -}}
{{- fail "gateway.httpRoute.enabled needs gateway.httpRoute.parentRefs: the Gateway that the route belongs to." -}}
{{- end -}}
{{- if and $values.gateway.enabled $values.gateway.ingress.enabled (not $values.gateway.ingress.hosts) -}}
{{- fail "gateway.ingress.enabled needs gateway.ingress.hosts: an Ingress without a host leads nowhere, and the API server refuses it." -}}
{{- end -}}
{{- $service := $values.gateway.service -}}
{{- if and $values.gateway.enabled $service.nodePort (eq $service.type "ClusterIP") -}}
{{- fail (printf "gateway.service.nodePort (%d) needs gateway.service.type NodePort or LoadBalancer: a Service of type ClusterIP has no port at the nodes, and the API server refuses one." (int $service.nodePort)) -}}
{{- end -}}
{{- $fullname := include "warest.fullname" . -}}
{{- /* Since 1.36 the name of a Service may begin with a digit. */ -}}
{{- $relaxed := semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version -}}
{{- if and $values.gateway.enabled (not (regexMatch (ternary "^[a-z0-9][-a-z0-9]*$" "^[a-z][-a-z0-9]*$" $relaxed) $fullname)) -}}
{{- fail (printf "all names would begin with %q, but the name of a Service must begin with %s and have only a-z, 0-9 and '-': set fullnameOverride to such a name." $fullname (ternary "a letter or a digit" "a letter" $relaxed)) -}}
{{- end -}}
{{- $election := $values.operator.leaderElection -}}
{{- $retry := int $election.retryPeriodSeconds -}}
{{- $renew := int $election.renewDeadlineSeconds -}}
{{- $lease := int $election.leaseDurationSeconds -}}
{{- if and $values.operator.enabled (or (ge $retry $renew) (ge $renew $lease)) -}}
{{- fail (printf "operator.leaderElection: retryPeriodSeconds (%d) must be less than renewDeadlineSeconds (%d), and that less than leaseDurationSeconds (%d): a leader tries again before it stops, and stops before another one begins." $retry $renew $lease) -}}
{{- end -}}
{{- end -}}
