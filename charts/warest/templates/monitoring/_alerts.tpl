{{/* The alerts: name, severity, how long, expression, what it means and what to do. No label names a session, a number or a key. */}}

{{/* One alert. Takes the root and the alert. */}}
{{- define "warest.alert" -}}
{{- $root := first . -}}
{{- $alert := last . -}}
alert: {{ $alert.name }}
expr: {{ $alert.expr | trim | quote }}
for: {{ $alert.for }}
labels:
  {{- merge (dict "severity" $alert.severity) $root.Values.monitoring.prometheusRule.alertLabels | toYaml | nindent 2 }}
annotations:
  summary: {{ $alert.summary | quote }}
  description: {{ $alert.description | trim | quote }}
{{- end -}}

{{- define "warest.alerts.operator" -}}
{{- $in := printf "namespace=%q" .Release.Namespace -}}
{{- /* What nothing but a person ends. Every other reason is named, and why it is not here, in tests/it/chart/monitored.rs. */ -}}
{{- $account := list "LoggedOut" "Banned" "Replaced" "Outdated" "PasskeyRequired" "SessionFailed" "DuplicateAccount" -}}
{{- $refused := list "InvalidSpec" "SecretNotFound" "Refused" "Forbidden" "NamespaceTerminating" -}}
{{- $pod := list "ImagePullFailed" "ContainerNotCreated" "CrashLoop" "PodNameConflict" "MultiplePods" "NodeUnreachable" -}}
{{- $volume := list "VolumeLost" "ClaimNotFound" "ClaimNameConflict" "DuplicateVolume" -}}
{{- /* Of sessions that are Ready all the same. */ -}}
{{- $troubled := concat (list "OutboxUnreadable" "SessionTroubled") $refused -}}
- name: WarestNoOperatorLeads
  severity: critical
  for: 2m
  expr: absent(warest_operator_leader{ {{- $in -}} } == 1)
  summary: No warest operator leads.
  description: Sessions go on as they are; nothing is created, healed or deleted. Look at the operator's pods and their logs, and at the lease.
- name: WarestReconcilesFail
  severity: warning
  for: 15m
  expr: |
    sum(rate(warest_operator_reconciles_total{ {{- $in -}} ,result="error"}[5m]))
      / sum(rate(warest_operator_reconciles_total{ {{- $in -}} }[5m])) > 0.1
  summary: More than a tenth of the operator's work fails.
  description: The operator's log says which object and why. Often a quota, an admission policy or a missing right.
- name: WarestSessionsNotReady
  severity: warning
  for: 15m
  expr: |
    sum(warest_operator_sessions{ {{- $in -}} ,condition="Ready",status="False",reason!~"Suspended|Suspending|Paused|AwaitingPairing|QrExpired"})
      / sum(warest_operator_sessions{ {{- $in -}} ,condition="Ready"}) > 0.05
  summary: More than one session in twenty is not ready.
  description: "kubectl get whatsappsessions --all-namespaces shows the reasons."
- name: WarestSessionsNeedSomebody
  severity: warning
  for: 5m
  expr: |
    sum by (reason) (warest_operator_sessions{ {{- $in -}} ,condition="Ready",status="False",
      reason=~"{{ concat $account $refused $pod $volume | join "|" }}"}) > 0
  summary: "Sessions stand still until somebody acts: {{ "{{ $labels.reason }}" }}."
  description: "kubectl get whatsappsessions --all-namespaces | grep {{ "{{ $labels.reason }}" }}, then kubectl describe one of them: it says what to do."
- name: WarestSessionsInTrouble
  severity: warning
  for: 5m
  expr: |
    sum by (reason) (warest_operator_sessions{ {{- $in -}} ,condition="Ready",status="True",reason=~"{{ $troubled | join "|" }}"}) > 0
  summary: "Sessions work, but something in them needs somebody: {{ "{{ $labels.reason }}" }}."
  description: "kubectl get whatsappsessions --all-namespaces | grep {{ "{{ $labels.reason }}" }}, then kubectl describe one of them: it says what is wrong. With OutboxUnreadable, messages that were accepted wait and are not sent."
- name: WarestVolumesInTrouble
  severity: warning
  for: 5m
  expr: |
    sum by (reason) (warest_operator_sessions{ {{- $in -}} ,condition="StorageReady",reason=~"StorageTerminating|ResizeFailed"}) > 0
  summary: "Volumes of sessions need somebody: {{ "{{ $labels.reason }}" }}."
  description: "kubectl get whatsappsessions --all-namespaces -o custom-columns='NAMESPACE:.metadata.namespace,NAME:.metadata.name,REASONS:.status.conditions[*].reason' | grep {{ "{{ $labels.reason }}" }}, then kubectl describe one of them. With StorageTerminating, the credentials go when the pod ends: save what you need while it runs."
- name: WarestRolloutStopped
  severity: warning
  for: 1m
  expr: max(warest_operator_rollout_stopped{ {{- $in -}} }) == 1
  summary: A rollout to the sessions has stopped by itself.
  description: Sessions that had their turn did not come back. Their conditions say why. A new image or setting, or the old one, starts it again.
{{- end -}}

{{- define "warest.alerts.gateway" -}}
{{- $in := printf "namespace=%q" .Release.Namespace -}}
- name: WarestGatewayGone
  severity: critical
  for: 2m
  expr: absent(warest_gateway_sessions{ {{- $in -}} })
  summary: No warest gateway is seen.
  description: Nobody answers for the REST API and Socket.IO, or Prometheus cannot reach it. Sessions go on, and keep what comes in.
- name: WarestGatewayFails
  severity: warning
  for: 10m
  expr: |
    sum(rate(warest_gateway_http_requests_total{ {{- $in -}} ,status=~"5.."}[5m]))
      / sum(rate(warest_gateway_http_requests_total{ {{- $in -}} }[5m])) > 0.05
  summary: More than one answer in twenty is an error of the server.
  description: The gateway's log says of which route. 503 and 504 mean that sessions do not answer.
- name: WarestGatewayIsBehind
  severity: warning
  for: 5m
  expr: |
    max(warest_gateway_knowledge_stale{ {{- $in -}} }) == 1 or min by (watch) (warest_gateway_watch_up{ {{- $in -}} }) == 0
  summary: The gateway works from what it knew last.
  description: It cannot watch the API server. Running sessions are served; new ones, new keys and new settings are not seen.
{{- end -}}

{{- define "warest.alerts.sessions" -}}
- name: WarestMessagesWait
  severity: warning
  for: 15m
  expr: sum by (namespace) (warest_outbox_depth) > 100
  summary: "Messages wait in namespace {{ "{{ $labels.namespace }}" }}."
  description: More than a hundred accepted messages have not been acknowledged by WhatsApp for a quarter of an hour.
{{- end -}}
