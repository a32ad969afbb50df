{{/* The operator's arguments: what is not given is the program's own default. */}}
{{- define "warest.operator.args" -}}
{{- $own := .Values.operator -}}
{{- $session := .Values.session -}}
- --lease-name={{ include "warest.operator.fullname" . }}
- --lease-duration-seconds={{ int $own.leaderElection.leaseDurationSeconds }}
- --lease-renew-deadline-seconds={{ int $own.leaderElection.renewDeadlineSeconds }}
- --lease-retry-seconds={{ int $own.leaderElection.retryPeriodSeconds }}
- --concurrency={{ int $own.concurrency }}
- --resync-seconds={{ int $own.resyncSeconds }}
- --node-loss-seconds={{ int $own.nodeLossSeconds }}
- --node-grace-seconds={{ int $own.nodeGraceSeconds }}
- --rollout-max-unavailable={{ $own.rollout.maxUnavailable }}
- --rollout-max-failures={{ int $own.rollout.maxFailures }}
- --rollout-progress-deadline-seconds={{ int $own.rollout.progressDeadlineSeconds }}
{{- with .Values.watchNamespaces }}
- --watch-namespaces={{ uniq . | join "," }}
{{- end }}
{{- with $own.selector }}
- {{ printf "--selector=%s" . | quote }}
{{- end }}
- --session-image={{ include "warest.image" (list . $session.image) }}
- --session-image-pull-policy={{ $session.image.pullPolicy }}
{{- with concat .Values.global.imagePullSecrets $session.imagePullSecrets }}
{{- $names := list }}
{{- range . }}{{ $names = append $names .name }}{{ end }}
- --session-image-pull-secrets={{ uniq $names | join "," }}
{{- end }}
- --session-cpu-request={{ $session.resources.requests.cpu }}
- --session-memory-request={{ $session.resources.requests.memory }}
- --session-memory-limit={{ $session.resources.limits.memory }}
{{- with $session.log }}
- {{ printf "--session-log=%s" . | quote }}
{{- end }}
{{- range $name, $value := $session.env }}
- {{ printf "--session-env=%s=%s" $name $value | quote }}
{{- end }}
{{- with $session.whatsappUrl }}
- {{ printf "--whatsapp-url=%s" . | quote }}
{{- end }}
{{- with $session.extraCaConfigMap }}
- --extra-ca-configmap={{ . }}
{{- end }}
- {{ include "warest.selectorLabels" (list . "operator") | fromYaml | include "warest.pairs" | printf "--operator-labels=%s" | quote }}
- {{ include "warest.selectorLabels" (list . "api-gateway") | fromYaml | include "warest.pairs" | printf "--gateway-labels=%s" | quote }}
{{- if .Values.monitoring.sessionMonitor.enabled }}
- --metrics-namespace={{ required "monitoring.sessionMonitor.enabled needs monitoring.sessionMonitor.prometheusNamespace: the sessions' NetworkPolicies let nobody else in." .Values.monitoring.sessionMonitor.prometheusNamespace }}
{{- end }}
{{- with $own.logFormat }}
- --log-format={{ . }}
{{- end }}
{{- range $own.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Labels as KEY=VALUE, separated by commas. */}}
{{- define "warest.pairs" -}}
{{- $pairs := list -}}
{{- range $key, $value := . }}{{ $pairs = append $pairs (printf "%s=%s" $key $value) }}{{ end -}}
{{- join "," $pairs -}}
{{- end -}}
