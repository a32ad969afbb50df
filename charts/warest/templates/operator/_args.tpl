{{/* The operator's arguments: what is not given is the program's own default. */}}
{{- define "warest.operator.args" -}}
{{- $own := .Values.operator -}}
{{- $session := .Values.session -}}
- {{ printf "--listen=%s:8080" (include "warest.listen" .) | quote }}
- --lease-name={{ include "warest.operator.fullname" . }}
- --lease-duration-seconds={{ $own.leaderElection.leaseDurationSeconds }}
- --renew-deadline-seconds={{ $own.leaderElection.renewDeadlineSeconds }}
- --retry-period-seconds={{ $own.leaderElection.retryPeriodSeconds }}
- --concurrency={{ $own.concurrency }}
- --resync-seconds={{ $own.resyncSeconds }}
- --node-loss-seconds={{ $own.nodeLossSeconds }}
- --rollout-max-unavailable={{ $own.rollout.maxUnavailable }}
- --rollout-max-failures={{ $own.rollout.maxFailures }}
- --rollout-progress-deadline-seconds={{ $own.rollout.progressDeadlineSeconds }}
{{- with .Values.watchNamespaces }}
- --watch-namespaces={{ uniq . | join "," }}
{{- end }}
{{- with $own.selector }}
- {{ printf "--selector=%s" . | quote }}
{{- end }}
- --session-image={{ include "warest.image" (list . $session.image) }}
- --session-image-pull-policy={{ $session.image.pullPolicy }}
{{- with concat .Values.global.imagePullSecrets $session.imagePullSecrets }}
- --session-image-pull-secrets={{ pluck "name" . | join "," }}
{{- end }}
- --session-cpu-request={{ $session.resources.requests.cpu }}
- --session-memory-request={{ $session.resources.requests.memory }}
- --session-memory-limit={{ $session.resources.limits.memory }}
{{- with $session.log }}
- {{ printf "--session-log=%s" . | quote }}
{{- end }}
{{- range $name, $value := $session.env }}
- {{ printf "--session-env=%s=%s" $name (toString $value) | quote }}
{{- end }}
{{- with $session.whatsappUrl }}
- {{ printf "--whatsapp-url=%s" . | quote }}
{{- end }}
{{- with $session.extraCaConfigMap }}
- --extra-ca-configmap={{ . }}
{{- end }}
{{- range $own.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}
