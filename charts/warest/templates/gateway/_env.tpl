{{/* The gateway's environment: what is not given is the program's own default. */}}
{{- define "warest.gateway.env" -}}
{{- $own := .Values.gateway -}}
- {name: WAREST_MODE, value: kubernetes}
- {name: NODE_ENV, value: production}
- name: HOST
  value: {{ .Values.listenAddress | quote }}
- {name: PORT, value: "4000"}
- name: RUST_LOG
  value: {{ $own.log | quote }}
- name: WAREST_NAMESPACE
  value: {{ include "warest.sessionsNamespace" . | quote }}
{{- with $own.watchNamespaces }}
- name: WAREST_WATCH_NAMESPACES
  value: {{ ternary "*" (prepend . (include "warest.sessionsNamespace" $) | uniq | join ",") (has "*" .) | quote }}
{{- end }}
{{- $drain := int $own.drainSeconds }}
- name: WAREST_DRAIN_SECONDS
  value: {{ $drain | quote }}
{{- /* Some seconds before the kubelet loses its patience. */}}
- name: WAREST_GRACE_SECONDS
  value: {{ max 0 (sub (int $own.terminationGracePeriodSeconds) (add $drain 5)) | quote }}
- name: WAREST_CLUSTER_KEY_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: WAREST_SETTINGS_NAME
  value: {{ include "warest.settingsName" . }}
{{ include "warest.gateway.keys" . }}
- name: SESSIONS_MAX
  value: {{ int $own.sessionsMax | quote }}
- name: AUTOREPLY_ENABLED
  value: {{ $own.autoReply | quote }}
- name: AUTOREPLY_PING_PONG
  value: {{ $own.autoReply | quote }}
{{- with $own.allowedOrigins }}
- name: ALLOWED_ORIGINS
  value: {{ join "," . | quote }}
{{- end }}
{{- include "warest.gateway.stores" . }}
{{- with $own.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Where the API keys come from: one of three ways. */}}
{{- define "warest.gateway.keys" -}}
{{- $auth := .Values.gateway.auth -}}
{{- if $auth.adminKey.secretName -}}
- name: ADMIN_API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ $auth.adminKey.secretName | quote }}
      key: {{ $auth.adminKey.secretKey | quote }}
{{- with $auth.userKeys.secretName }}
- name: USER_API_KEYS
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: {{ $auth.userKeys.secretKey | quote }}
{{- end }}
{{- else -}}
- name: WAREST_KEYS_SECRET
  value: {{ include "warest.keysSecret" . | quote }}
{{- if not $auth.existingSecret }}
- {name: WAREST_KEYS_SECRET_CREATE, value: "true"}
{{- end }}
{{- end }}
{{- end -}}

{{/* Redis and MySQL. */}}
{{- define "warest.gateway.stores" -}}
{{- $redis := .Values.gateway.redis -}}
{{- $mysql := .Values.gateway.mysql -}}
{{- with $redis.url }}
- name: REDIS_URL
  value: {{ . | quote }}
{{- end }}
{{- with $redis.existingSecret.name }}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: {{ $redis.existingSecret.key | quote }}
{{- end }}
{{- if $mysql.host }}
- name: MYSQL_HOST
  value: {{ $mysql.host | quote }}
- name: MYSQL_PORT
  value: {{ int $mysql.port | quote }}
- name: MYSQL_DATABASE
  value: {{ $mysql.database | quote }}
- name: MYSQL_USER
  value: {{ $mysql.user | quote }}
{{- with $mysql.existingSecret.name }}
- name: MYSQL_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: {{ $mysql.existingSecret.key | quote }}
{{- end }}
{{- end }}
{{- end -}}
